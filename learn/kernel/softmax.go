package kernel

import "math"

// Softmax computes the softmax of each row of x, of cols elements. Elements of -Inf get 0; a row of only -Inf becomes
// NaN. dst may be x.
func Softmax(rows, cols int, dst, x []float32) {
	checkLen("dst", len(dst), rows*cols)
	checkLen("x", len(x), rows*cols)
	s := newSweep(func(s *sweep, lo, hi int) {
		for i := lo; i < hi; i++ {
			softmaxRow(s.a[i*s.cols:(i+1)*s.cols], s.b[i*s.cols:(i+1)*s.cols])
		}
	})
	s.a, s.b, s.cols = dst, x, cols
	s.do(rows, cols)
}

// SoftmaxRow is Softmax of one row of len(dst) elements, in the calling goroutine.
func SoftmaxRow(dst, x []float32) { softmaxRow(dst, x[:len(dst)]) }

func softmaxRow(dst, x []float32) {
	scale(1/expShifted(dst, x, maximum(x)), dst)
}

// SoftmaxGrad computes the gradient of Softmax from its result y: dx = y * (dy - sum(y*dy)) in each row. dx may be dy.
func SoftmaxGrad(rows, cols int, dx, y, dy []float32) {
	checkLen("dx", len(dx), rows*cols)
	checkLen("y", len(y), rows*cols)
	checkLen("dy", len(dy), rows*cols)
	s := newSweep(func(s *sweep, lo, hi int) {
		for i := lo; i < hi; i++ {
			SoftmaxGradRow(s.a[i*s.cols:(i+1)*s.cols], s.b[i*s.cols:], s.c[i*s.cols:])
		}
	})
	s.a, s.b, s.c, s.cols = dx, y, dy, cols
	s.do(rows, cols)
}

// SoftmaxGradRow is SoftmaxGrad of one row of len(dx) elements, in the calling goroutine.
func SoftmaxGradRow(dx, y, dy []float32) {
	y, dy = y[:len(dx)], dy[:len(dx)]
	multiplyShifted(dx, y, dy, -dot(y, dy))
}

// LogSumExp is log(sum(exp(x))) of one row, computed without overflow. x must not be empty. scratch has the length of x and may
// be x if that is not needed any more; it receives exp(x - max(x)).
func LogSumExp(x, scratch []float32) float32 {
	m := maximum(x)
	return m + float32(math.Log(float64(expShifted(scratch, x, m))))
}
