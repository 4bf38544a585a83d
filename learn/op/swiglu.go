package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// SwiGLU is gate * sigmoid(gate) * up (arXiv 2002.05202). Inputs: gate and up, of one shape.
type SwiGLU struct {
	gateSlope, upSlope []float32 // of the last Forward
}

func (s *SwiGLU) String() string { return "SwiGLU" }

// Shape implements Func.
func (s *SwiGLU) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 2 || !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("want gate and up of one shape, got %v", in)
	}
	return in[0], nil
}

// Forward implements Func.
func (s *SwiGLU) Forward(out []float32, in [][]float32) {
	kernel.SwiGLU(out, in[0], in[1], sized(&s.gateSlope, len(out)), sized(&s.upSlope, len(out)))
}

// Backward implements Func.
func (s *SwiGLU) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for i, slope := range [][]float32{s.gateSlope, s.upSlope} {
		if grads[i] != nil {
			kernel.Mul(grads[i], slope[:len(grad)], grad)
		}
	}
}
