package kernel

import "math"

// Exp computes dst[i] = exp(x[i]) with a relative error below 3e-7. Results that are too small for a normal number become 0;
// results above 1.7e38, half of the largest number, are held there. dst may be x.
func Exp(dst, x []float32) {
	checkLen("dst", len(dst), len(x))
	s := newSweep(func(s *sweep, lo, hi int) { expShifted(s.a[lo:hi], s.b[lo:hi], 0) })
	s.a, s.b = dst, x
	s.do(len(x), 1)
}

// expShifted computes dst = exp(x - shift) and returns its sum.
func expShifted(dst, x []float32, shift float32) float32 {
	dst = dst[:len(x)]
	var sum float32
	for i, v := range x {
		e := exp(v - shift)
		dst[i] = e
		sum += e
	}
	return sum
}

const (
	// exp(x) is the smallest normal number at expMin; it is held below infinity above expMax, so that 1/(1+exp(x)) and its
	// derivative stay finite.
	expMin = -87.33654
	expMax = 88.02969

	// ln 2 in two parts, of which the first times a small integer is exact.
	ln2High = 0.693359375
	ln2Low  = -2.12194440e-4
	// Adding and taking away 1.5*2^23 rounds a small float32 to an integer.
	rounder = 12582912
)

// exp is e**x by 2**n * e**r with |r| <= ln(2)/2, and the polynomial of Cephes' expf for e**r.
func exp(x float32) float32 {
	if x != x {
		return x
	}
	if x < expMin {
		return 0
	}
	x = min(x, expMax)
	n := float32(x*math.Log2E+rounder) - rounder
	r := x - n*ln2High
	r -= n * ln2Low
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	p = p*r*r + r + 1
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}
