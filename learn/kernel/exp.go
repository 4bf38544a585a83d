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

const (
	// exp(x) is the smallest normal number at expMin; it is held below infinity above expMax, so that 1/(1+exp(x)) and its
	// derivative stay finite.
	expMin = -87.33654
	expMax = 88.02969
)

func exp(x float32) float32 {
	if x < expMin {
		return 0
	}
	return float32(math.Exp(float64(min(x, expMax))))
}
