package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// LayerNorm is y = (x - mean) / sqrt(var + Eps) * gain + bias over the last axis of x [n, d], with the biased variance.
// Inputs: x, gain [d], bias [d].
type LayerNorm struct {
	Eps float64

	mean, scale []float32 // of the rows of the last Forward
	spare       []float32 // for a gradient that is computed but not wanted
}

func (l *LayerNorm) String() string { return "layer norm" }

var layerNormParameters, rmsNormParameters = []string{"gain", "bias"}, []string{"gain"}

// Shape implements Func.
func (l *LayerNorm) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 3 || len(in[0]) != 2 {
		return nil, fmt.Errorf("want x [n, d], gain [d] and bias [d], got %v", in)
	}
	d := in[0][1]
	if err := want(in, []string{"x", "gain", "bias"}, tensor.Shape{-1, d}, tensor.Shape{d}, tensor.Shape{d}); err != nil {
		return nil, err
	}
	return in[0], nil
}

// Forward implements Func. Without a Backward to follow, out may be x.
func (l *LayerNorm) Forward(out []float32, in [][]float32) { l.forward(out, in[0], in[1:]) }

// Backward implements Func.
func (l *LayerNorm) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	l.backward(grads[0], grads[1:], grad, in[0], in[1:])
}

func (l *LayerNorm) parameters() []string { return layerNormParameters }

func (l *LayerNorm) forward(y, x []float32, p [][]float32) {
	gain, bias := p[0], p[1]
	n := len(x) / len(gain)
	kernel.LayerNorm(n, len(gain), float32(l.Eps), x, gain, bias, y, sized(&l.mean, n), sized(&l.scale, n))
}

// backward writes the gradients that are not nil. dx may be dy.
func (l *LayerNorm) backward(dx []float32, grads [][]float32, dy, x []float32, p [][]float32) {
	gain, dgain, dbias := p[0], grads[0], grads[1]
	d := len(gain)
	if dgain != nil || dbias != nil {
		for _, g := range []*[]float32{&dgain, &dbias} {
			if *g == nil {
				*g = sized(&l.spare, d)
			}
			clear(*g)
		}
	}
	n := len(dy) / d
	kernel.LayerNormGrad(n, d, x, gain, l.mean[:n], l.scale[:n], dy, dx, dgain, dbias)
}
