package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// GELU is the tanh form of GPT-2 ("gelu_new"): x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Input: x of any shape.
type GELU struct{}

func (GELU) String() string { return "gelu" }

// Shape implements Func.
func (GELU) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("has %d inputs, want 1", len(in))
	}
	return in[0], nil
}

// Forward implements Func.
func (GELU) Forward(out []float32, in [][]float32) { kernel.GELU(out, in[0]) }

// Backward implements Func.
func (GELU) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	kernel.GELUGrad(grads[0], in[0], grad)
}
