package kernel

import "math"

// Softmax computes the softmax of x over the length of dst, in the calling goroutine. Elements of -Inf get 0; if there are no others, all
// become NaN. dst may be x.
func Softmax(dst, x []float32) {
	x = x[:len(dst)]
	scale(1/expShifted(dst, x, maximum(x)), dst)
}

// SoftmaxGrad computes the gradient of Softmax from its result y: dx = y * (dy - sum(y*dy)) over the length of dx, in the calling
// goroutine. dx may be dy.
func SoftmaxGrad(dx, y, dy []float32) {
	y, dy = y[:len(dx)], dy[:len(dx)]
	multiplyShifted(dx, y, dy, -dot(y, dy))
}

// LogSumExp is log(sum(exp(x))) of one row, computed without overflow. x must not be empty. scratch has the length of x and may
// be x if that is not needed any more; it receives exp(x - max(x)).
func LogSumExp(x, scratch []float32) float32 {
	m := maximum(x)
	return m + float32(math.Log(float64(expShifted(scratch, x, m))))
}
