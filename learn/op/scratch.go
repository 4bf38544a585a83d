package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// sized gives n floats of *buf, growing it if needed. The contents are whatever was there.
func sized(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = make([]float32, n)
	}
	return (*buf)[:n]
}

// Scratch is memory that the blocks of one graph share, because they run one after another: slots 0 to 3 within a backward pass, the rest
// within a forward pass.
type Scratch struct{ slots [7][]float32 }

func (s *Scratch) slot(i, n int) []float32 { return sized(&s.slots[i], n) }

// strided is a matrix whose rows begin stride elements apart, as when it is some columns of a wider one.
type strided struct {
	data   []float32
	stride int
}

// at is the part of m from a row and a column on.
func (m strided) at(row, col int) strided {
	return strided{m.data[row*m.stride+col:], m.stride}
}

// sumRows writes the sum over the rows of x, each as long as dst, to dst.
func sumRows(dst, x []float32) {
	clear(dst)
	kernel.SumRows(len(x)/len(dst), len(dst), x, dst)
}

// addInto adds x to dst.
func addInto(dst, x []float32) { kernel.Add(x, dst) }

// want checks the shapes of inputs by name. A negative dimension matches any.
func want(in []tensor.Shape, names []string, shapes ...tensor.Shape) error {
	if len(in) != len(shapes) {
		return fmt.Errorf("has %d inputs, want %d (%v)", len(in), len(shapes), names)
	}
	for i, s := range shapes {
		ok := len(s) == len(in[i])
		for j := 0; ok && j < len(s); j++ {
			ok = s[j] < 0 || s[j] == in[i][j]
		}
		if !ok {
			return fmt.Errorf("%s has shape %v, want %v", names[i], in[i], s)
		}
	}
	return nil
}
