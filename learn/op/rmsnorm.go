package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// RMSNorm is y = x / sqrt(mean(x^2) + Eps) * gain over the last axis of x [n, d] (arXiv 1910.07467). Inputs: x, gain [d].
type RMSNorm struct {
	Eps float64

	scale []float32 // of the rows of the last Forward
}

func (l *RMSNorm) String() string { return "RMS norm" }

// Shape implements Func.
func (l *RMSNorm) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 2 || len(in[0]) != 2 {
		return nil, fmt.Errorf("want x [n, d] and gain [d], got %v", in)
	}
	if err := want(in, []string{"x", "gain"}, tensor.Shape{-1, in[0][1]}, tensor.Shape{in[0][1]}); err != nil {
		return nil, err
	}
	return in[0], nil
}

// Forward implements Func. Without a Backward to follow, out may be x.
func (l *RMSNorm) Forward(out []float32, in [][]float32) { l.forward(out, in[0], in[1:]) }

// Backward implements Func.
func (l *RMSNorm) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	l.backward(grads[0], grads[1:], grad, in[0], in[1:])
}

func (l *RMSNorm) parameters() []string { return rmsNormParameters }

func (l *RMSNorm) forward(y, x []float32, p [][]float32) {
	d := len(p[0])
	n := len(x) / d
	kernel.RMSNorm(n, d, l.Eps, x, p[0], y, sized(&l.scale, n))
}

// backward writes the gradients that are not nil. dx may be dy.
func (l *RMSNorm) backward(dx []float32, grads [][]float32, dy, x []float32, p [][]float32) {
	d := len(p[0])
	n := len(dy) / d
	clear(grads[0])
	kernel.RMSNormGrad(n, d, x, p[0], l.scale[:n], dy, dx, grads[0])
}
