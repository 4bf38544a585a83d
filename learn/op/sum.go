package op

import (
	"fmt"

	"gorgonia.org/tensor"
)

// Sum adds matrices [n, d] of one shape, row by row those that have the row.
type Sum struct {
	// Present tells for every input which rows it has; inputs and rows beyond are there. It may be rewritten between runs.
	Present [][]bool

	width int
}

func (*Sum) String() string { return "sum" }

// Shape implements Func.
func (s *Sum) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) == 0 {
		return nil, fmt.Errorf("nothing to add")
	}
	for i, x := range in {
		if len(x) != 2 || !x.Eq(in[0]) {
			return nil, fmt.Errorf("input %d has shape %v, the first %v; want matrices of one shape", i, x, in[0])
		}
	}
	s.width = in[0][1]
	return in[0].Clone(), nil
}

// Forward implements Func.
func (s *Sum) Forward(out []float32, in [][]float32) {
	clear(out)
	s.each(len(in), len(out), func(i, from, to int) {
		x := in[i][from:to]
		for j, v := range x {
			out[from+j] += v
		}
	})
}

// Backward implements Func.
func (s *Sum) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for _, dx := range grads {
		clear(dx)
	}
	s.each(len(grads), len(grad), func(i, from, to int) {
		if grads[i] != nil {
			copy(grads[i][from:to], grad[from:to])
		}
	})
}

// each visits the rows that the inputs have, as ranges of matrices of the given size.
func (s *Sum) each(inputs, size int, visit func(i, from, to int)) {
	for i := range inputs {
		for row := range size / s.width {
			if i < len(s.Present) && row < len(s.Present[i]) && !s.Present[i][row] {
				continue
			}
			visit(i, row*s.width, (row+1)*s.width)
		}
	}
}
