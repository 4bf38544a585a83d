package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
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
	for at := 0; at < len(out); {
		for i, w := range c.widths {
			row := at / c.total()
			copy(out[at:at+w], in[i][row*w:])
			at += w
		}
	}
}

// Backward implements Func.
func (c *Concat) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	total, from := c.total(), 0
	for i, w := range c.widths {
		for row := range len(grad) / total {
			if grads[i] != nil {
				copy(grads[i][row*w:][:w], grad[row*total+from:])
			}
		}
		from += w
	}
}

func (c *Concat) total() int {
	total := 0
	for _, w := range c.widths {
		total += w
	}
	return total
}

// Flatten keeps the first axis and joins the others: [n, ...] to [n, product].
type Flatten struct{}

func (Flatten) String() string { return "flatten" }

// Shape implements Func.
func (Flatten) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 1 || len(in[0]) < 2 {
		return nil, fmt.Errorf("want x of two axes or more, got %v", in)
	}
	return tensor.Shape{in[0][0], in[0].TotalSize() / in[0][0]}, nil
}

// Forward implements Func.
func (Flatten) Forward(out []float32, in [][]float32) { copy(out, in[0]) }

// Backward implements Func.
func (Flatten) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	copy(grads[0], grad)
}

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

// Dropout zeroes elements at random and scales the others to keep the mean. Input: x of any shape.
type Dropout struct {
	Noise

	mask []float32
}

func (d *Dropout) String() string { return "dropout" }

// Shape implements Func.
func (d *Dropout) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("has %d inputs, want 1", len(in))
	}
	return in[0], nil
}

// Forward implements Func.
func (d *Dropout) Forward(out []float32, in [][]float32) {
	mask := sized(&d.mask, len(out))
	d.fill(mask)
	for i, m := range mask {
		out[i] = m * in[0][i]
	}
}

// Backward implements Func.
func (d *Dropout) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for i, m := range d.mask[:len(grad)] {
		grads[0][i] = m * grad[i]
	}
}
