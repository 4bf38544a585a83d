package op

import (
	"fmt"

	"gorgonia.org/tensor"
)

// Concat puts matrices [n, d_i] side by side: [n, sum of d_i].
type Concat struct{ widths []int }

func (c *Concat) String() string { return "concat" }

// Shape implements Func.
func (c *Concat) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) == 0 {
		return nil, fmt.Errorf("nothing to concatenate")
	}
	total := 0
	c.widths = c.widths[:0]
	for i, s := range in {
		if len(s) != 2 || s[0] != in[0][0] {
			return nil, fmt.Errorf("input %d has shape %v, the first %v", i, s, in[0])
		}
		c.widths = append(c.widths, s[1])
		total += s[1]
	}
	return tensor.Shape{in[0][0], total}, nil
}

// Forward implements Func.
func (c *Concat) Forward(out []float32, in [][]float32) {
	c.each(len(out), func(i, row, from, to int) { copy(out[from:to], in[i][row*(to-from):]) })
}

// Backward implements Func.
func (c *Concat) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	c.each(len(grad), func(i, row, from, to int) {
		if grads[i] != nil {
			copy(grads[i][row*(to-from):], grad[from:to])
		}
	})
}

// each visits where row of input i lies in a joined matrix of the given size.
func (c *Concat) each(size int, visit func(i, row, from, to int)) {
	for row, from := 0, 0; from < size; row++ {
		for i, width := range c.widths {
			visit(i, row, from, from+width)
			from += width
		}
	}
}

// Flatten makes a vector of every picture: x [n, H, W, C] becomes [n, C*H*W], one channel after the other, as PyTorch has them.
type Flatten struct{ pixels, channels int }

func (f *Flatten) String() string { return "flatten" }

// Shape implements Func.
func (f *Flatten) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 1 || len(in[0]) != 4 {
		return nil, fmt.Errorf("want x [n, H, W, C], got %v", in)
	}
	f.pixels, f.channels = in[0][1]*in[0][2], in[0][3]
	return tensor.Shape{in[0][0], f.pixels * f.channels}, nil
}

// Forward implements Func.
func (f *Flatten) Forward(out []float32, in [][]float32) {
	f.each(len(out), func(last, first int) { out[first] = in[0][last] })
}

// Backward implements Func.
func (f *Flatten) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	f.each(len(grad), func(last, first int) { grads[0][last] = grad[first] })
}

// each visits where an element lies with channels last and with channels first.
func (f *Flatten) each(size int, visit func(last, first int)) {
	for from := 0; from < size; from += f.pixels * f.channels {
		for p := range f.pixels {
			for c := range f.channels {
				visit(from+p*f.channels+c, from+c*f.pixels+p)
			}
		}
	}
}
