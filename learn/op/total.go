package op

import (
	"gorgonia.org/tensor"
)

// Total is the cost of a graph: the scalar sum of its inputs, each of shape [1], times their Weights.
type Total struct {
	Weights []float64 // one per input
}

func (t *Total) String() string { return "total loss" }

// Shape implements Func.
func (t *Total) Shape(in []tensor.Shape) (tensor.Shape, error) {
	for i := range in {
		if err := want(in[i:i+1], []string{"loss"}, tensor.Shape{1}); err != nil {
			return nil, err
		}
	}
	return tensor.Shape{}, nil
}

// Forward implements Func.
func (t *Total) Forward(out []float32, in [][]float32) {
	var sum float64
	for i, v := range in {
		sum += t.Weights[i] * float64(v[0])
	}
	out[0] = float32(sum)
}

// Backward implements Func.
func (t *Total) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for i, g := range grads {
		if g != nil {
			g[0] = float32(t.Weights[i]) * grad[0]
		}
	}
}
