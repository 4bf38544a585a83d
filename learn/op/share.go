package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Share is what some columns of x add to the product x W: x[:, From:From+Width] W[From:From+Width, :]. The shares of all
// parts sum to x W. Inputs: x [n, in], W [in, out]. Output: [n, out].
type Share struct {
	From, Width int

	in, out int
}

func (s *Share) String() string { return "share of a product" }

// Shape implements Func.
func (s *Share) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 2 || len(in[0]) != 2 || len(in[1]) != 2 || in[0][1] != in[1][0] || s.From+s.Width > in[0][1] {
		return nil, fmt.Errorf("want x [n, in] and weight [in, out] with in >= %d, got %v", s.From+s.Width, in)
	}
	s.in, s.out = in[1][0], in[1][1]
	return tensor.Shape{in[0][0], s.out}, nil
}

// Forward implements Func.
func (s *Share) Forward(out []float32, in [][]float32) {
	kernel.Gemm(false, false, len(out)/s.out, s.out, s.Width, 1, in[0][s.From:], s.in, in[1][s.From*s.out:], s.out, 0, out, s.out)
}

// Backward implements Func.
func (s *Share) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	n := len(grad) / s.out
	if dx := grads[0]; dx != nil {
		clear(dx)
		kernel.Gemm(false, true, n, s.Width, s.out, 1, grad, s.out, in[1][s.From*s.out:], s.out, 0, dx[s.From:], s.in)
	}
	if dw := grads[1]; dw != nil {
		clear(dw)
		kernel.Gemm(true, false, s.Width, s.out, n, 1, in[0][s.From:], s.in, grad, s.out, 0, dw[s.From*s.out:], s.out)
	}
}
