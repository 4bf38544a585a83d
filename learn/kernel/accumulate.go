package kernel

import "math"

// AddWeighted computes sums += w[0]*xs[0] + w[1]*xs[1] + ... in float64 over the length of sums, from left to right, in the calling
// goroutine. Every product and every sum is rounded: all implementations give the same bits on every processor.
func AddWeighted(sums []float64, xs [][]float32, w []float64) {
	for _, x := range xs {
		checkLen("x", len(x), len(sums))
	}
	w = w[:len(xs)]
	for ; len(xs) >= 4; xs, w = xs[4:], w[4:] {
		addWeightedFour(sums, (*[4][]float32)(xs), (*[4]float64)(w))
	}
	for i, x := range xs {
		addWeighted(sums, x[:len(sums)], &w[i])
	}
}

// Quotients computes dst[i] = dividends[i]/divisor in float64, rounded to float32, over the length of dividends, in the calling goroutine. All
// implementations give the same bits.
func Quotients(dst []float32, dividends []float64, divisor float64) {
	checkLen("dst", len(dst), len(dividends))
	quotients(dst[:len(dividends)], dividends, divisor)
}

// AllFinite tells whether x has neither infinities nor NaNs. It works in the calling goroutine.
func AllFinite(x []float32) bool { return allFinite(x) }

// Dequantise computes dst[i] = scale*steps[i], where steps are signed bytes, over the length of steps, in the calling goroutine.
func Dequantise(dst []float32, steps []byte, scale float32) {
	checkLen("dst", len(dst), len(steps))
	dequantise(dst[:len(steps)], steps, scale)
}

// addWeightedPortable computes sums += w*x; the conversion keeps compilers from fusing product and sum.
func addWeightedPortable(sums []float64, x []float32, w float64) {
	x = x[:len(sums)]
	for i, v := range x {
		sums[i] += float64(w * float64(v))
	}
}

func quotientsPortable(dst []float32, dividends []float64, divisor float64) {
	dst = dst[:len(dividends)]
	for i, v := range dividends {
		dst[i] = float32(v / divisor)
	}
}

func allFinitePortable(x []float32) bool {
	for _, v := range x {
		if !finite(v) {
			return false
		}
	}
	return true
}

func finite(x float32) bool {
	const exponent = 0x7f800000 // all of it is set in infinities and NaNs alone
	return math.Float32bits(x)&exponent != exponent
}

func dequantisePortable(dst []float32, steps []byte, scale float32) {
	dst = dst[:len(steps)]
	for i, q := range steps {
		dst[i] = scale * float32(int8(q))
	}
}
