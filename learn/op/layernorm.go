package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// LayerNorm is y = (x - mean) / sqrt(var + Eps) * gain + bias over the last axis of x [n, d], with the biased variance.
// Inputs: x, gain [d], bias [d].
type LayerNorm struct {
	Eps float64

	rstd, hat []float32 // of the last Forward: 1/sqrt(var+eps) per row, normalised x
}

func (l *LayerNorm) String() string { return "layer norm" }

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

// Forward implements Func.
func (l *LayerNorm) Forward(out []float32, in [][]float32) { l.forward(out, in[0], in[1], in[2]) }

// Backward implements Func.
func (l *LayerNorm) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	l.backward(grads[0], grads[1], grads[2], grad, in[1])
}

func (l *LayerNorm) forward(y, x, gain, bias []float32) {
	d := len(gain)
	n := len(x) / d
	rstd, hat := sized(&l.rstd, n), sized(&l.hat, n*d)
	for i := range n {
		row, h, o := x[i*d:][:d], hat[i*d:][:d], y[i*d:][:d]
		var mean float64
		for _, v := range row {
			mean += float64(v)
		}
		mean /= float64(d)
		var square float64
		for _, v := range row {
			c := float64(v) - mean
			square += c * c
		}
		r := float32(1 / math.Sqrt(square/float64(d)+l.Eps))
		m := float32(mean)
		rstd[i] = r
		for j, v := range row {
			h[j] = (v - m) * r
			o[j] = h[j]*gain[j] + bias[j]
		}
	}
}

// backward writes the gradients that are not nil. dx may be dy.
func (l *LayerNorm) backward(dx, dgain, dbias, dy, gain []float32) {
	d := len(gain)
	n := len(dy) / d
	if dgain != nil {
		clear(dgain)
		for i, g := range dy[:n*d] {
			dgain[i%d] += g * l.hat[i]
		}
	}
	if dbias != nil {
		sumRows(dbias, dy)
	}
	if dx == nil {
		return
	}
	for i := range n {
		row, h, o := dy[i*d:][:d], l.hat[i*d:][:d], dx[i*d:][:d]
		var sum, dot float64
		for j, g := range row {
			gg := g * gain[j]
			sum += float64(gg)
			dot += float64(gg * h[j])
		}
		s, t, r := float32(sum/float64(d)), float32(dot/float64(d)), l.rstd[i]
		for j, g := range row {
			o[j] = r * (g*gain[j] - s - h[j]*t)
		}
	}
}
