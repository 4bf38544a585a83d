package op

import (
	"fmt"

	"gorgonia.org/tensor"
)

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
