package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// SwiGLU is gate * sigmoid(gate) * up (arXiv 2002.05202). Inputs: gate and up, of one shape.
type SwiGLU struct {
	sigmoid []float32 // of the gate of the last Forward
}

func (s *SwiGLU) String() string { return "SwiGLU" }

// Shape implements Func.
func (s *SwiGLU) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 2 || !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("want gate and up of one shape, got %v", in)
	}
	return in[0], nil
}

// gluGrain is how many elements a thread takes at a time.
const gluGrain = 1 << 14

// Forward implements Func.
func (s *SwiGLU) Forward(out []float32, in [][]float32) {
	gate, up := in[0], in[1]
	sigmoid := sized(&s.sigmoid, len(gate))
	kernel.Parallel(len(out), gluGrain, func(lo, hi int) {
		for i, g := range gate[lo:hi] {
			sigmoid[lo+i] = -g
		}
		kernel.Exp(sigmoid[lo:hi], sigmoid[lo:hi])
		for i := lo; i < hi; i++ {
			sigmoid[i] = 1 / (1 + sigmoid[i])
			out[i] = gate[i] * sigmoid[i] * up[i]
		}
	})
}

// Backward implements Func.
func (s *SwiGLU) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	gate, up, dgate, dup := in[0], in[1], grads[0], grads[1]
	kernel.Parallel(len(grad), gluGrain, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			sigmoid := s.sigmoid[i]
			if dgate != nil {
				dgate[i] = grad[i] * up[i] * sigmoid * (1 + gate[i]*(1-sigmoid))
			}
			if dup != nil {
				dup[i] = grad[i] * gate[i] * sigmoid
			}
		}
	})
}
