//go:build amd64 || arm64

package kernel

// vectorised tells whether n elements are for the vector registers: some are there, and the kernel in use is not the portable one.
func vectorised(n int) bool { return n > 0 && active.isa != isaPortable }

// The functions of accumulate.go compute whole vectors; what is left over has the same bits in Go.

func addWeighted(sums []float64, x []float32, w *float64) {
	n := len(sums) &^ 7
	if vectorised(n) {
		addWeightedVector(&sums[0], &x[0], n, w)
	} else {
		n = 0
	}
	addWeightedPortable(sums[n:], x[n:], *w)
}

func addWeightedFour(sums []float64, xs *[4][]float32, w *[4]float64) {
	n := len(sums) &^ 7
	if vectorised(n) {
		addWeightedFourVector(&sums[0], &xs[0][0], &xs[1][0], &xs[2][0], &xs[3][0], n, &w[0])
	} else {
		n = 0
	}
	for i, x := range xs {
		addWeightedPortable(sums[n:], x[n:len(sums)], w[i])
	}
}

func quotients(dst []float32, dividends []float64, divisor float64) {
	n := len(dividends) &^ 7
	if vectorised(n) {
		quotientsVector(&dst[0], &dividends[0], n, &divisor)
	} else {
		n = 0
	}
	quotientsPortable(dst[n:], dividends[n:], divisor)
}

func allFinite(x []float32) bool {
	n := len(x) &^ 7
	if !vectorised(n) {
		n = 0
	} else if !finite(magnitudeVector(&x[0], n)) {
		return false
	}
	return allFinitePortable(x[n:])
}

func dequantise(dst []float32, steps []byte, scale float32) {
	n := len(steps) &^ 7
	if vectorised(n) {
		dequantiseVector(&dst[0], &steps[0], n, scale)
	} else {
		n = 0
	}
	dequantisePortable(dst[n:], steps[n:], scale)
}
