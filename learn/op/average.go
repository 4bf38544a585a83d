package op

import (
	"fmt"

	"gorgonia.org/tensor"
)

// Average is the mean of tensors of one shape.
type Average struct{}

func (*Average) String() string { return "average" }

// Shape implements Func.
func (*Average) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) == 0 {
		return nil, fmt.Errorf("nothing to average")
	}
	for i, s := range in {
		if !s.Eq(in[0]) {
			return nil, fmt.Errorf("input %d has shape %v, the first %v", i, s, in[0])
		}
	}
	return in[0].Clone(), nil
}

// Forward implements Func.
func (*Average) Forward(out []float32, in [][]float32) {
	copy(out, in[0])
	for _, x := range in[1:] {
		for i, v := range x {
			out[i] += v
		}
	}
	if scale := 1 / float32(len(in)); scale != 1 {
		for i := range out {
			out[i] *= scale
		}
	}
}

// Backward implements Func.
func (*Average) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	scale := 1 / float32(len(grads))
	for _, dx := range grads {
		if dx == nil {
			continue
		}
		for i, g := range grad {
			dx[i] = g * scale
		}
	}
}
