package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// GELU is the tanh form of GPT-2 ("gelu_new"): x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Input: x of any shape.
type GELU struct{ tanh []float32 }

func (f *GELU) String() string { return "gelu" }

// Shape implements Func.
func (f *GELU) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("has %d inputs, want 1", len(in))
	}
	return in[0], nil
}

// Forward implements Func.
func (f *GELU) Forward(out []float32, in [][]float32) { f.forward(out, in[0]) }

// Backward implements Func.
func (f *GELU) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	f.backward(grads[0], grad, in[0])
}

const (
	geluScale = 0.7978845608028654 // sqrt(2/pi)
	geluCube  = 0.044715
)

func (f *GELU) forward(y, x []float32) {
	tanh := sized(&f.tanh, len(x))
	for i, v := range x {
		t := float32(math.Tanh(float64(geluScale * (v + geluCube*v*v*v))))
		tanh[i] = t
		y[i] = 0.5 * v * (1 + t)
	}
}

// backward writes dx, which may be dy.
func (f *GELU) backward(dx, dy, x []float32) {
	for i, v := range x {
		t := f.tanh[i]
		inner := geluScale * (1 + 3*geluCube*v*v)
		dx[i] = dy[i] * (0.5*(1+t) + 0.5*v*(1-t*t)*inner)
	}
}
