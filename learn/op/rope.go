package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// Rope tells positions apart by turning queries and keys (arXiv 2104.09864), as HuggingFace's Llama does: of a head of width
// w, elements j and j+w/2 are a point in the plane, turned at position p by the angle p * theta^(-2j/w).
// Input: x [rows*steps, heads*w]. Output: the same shape.
type Rope struct {
	steps, width int
	heads        int       // of the Func form
	cos, sin     []float32 // [steps, width/2]
}

// NewRope prepares the angles of positions 0 to steps-1. The width of a head must be even. It may be shared by the blocks of a graph.
func NewRope(steps, width int, theta float64) *Rope {
	half := width / 2
	r := &Rope{steps: steps, width: width, cos: make([]float32, steps*half), sin: make([]float32, steps*half)}
	for j := range half {
		frequency := math.Pow(theta, -2*float64(j)/float64(width))
		for p := range steps {
			sin, cos := math.Sincos(float64(p) * frequency)
			r.cos[p*half+j], r.sin[p*half+j] = float32(cos), float32(sin)
		}
	}
	return r
}

func (r *Rope) String() string { return "rope" }

// Shape implements Func.
func (r *Rope) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 1 || len(in[0]) != 2 || r.width%2 != 0 || in[0][1]%r.width != 0 || in[0][0]%r.steps != 0 {
		return nil, fmt.Errorf("want x [rows*%d, heads*%d] with an even width, got %v", r.steps, r.width, in)
	}
	r.heads = in[0][1] / r.width
	return in[0], nil
}

// Forward implements Func.
func (r *Rope) Forward(out []float32, in [][]float32) {
	copy(out, in[0])
	r.turnAll(out, 1)
}

// Backward implements Func. A rotation's transpose is the rotation back.
func (r *Rope) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	copy(grads[0], grad)
	r.turnAll(grads[0], -1)
}

func (r *Rope) turnAll(x []float32, sign float32) {
	columns := r.heads * r.width
	for at := 0; at < len(x); at += r.steps * columns {
		r.turn(strided{x[at:], columns}, r.steps, r.heads, 0, sign)
	}
}

// turnEach turns the rows of every sequence.
func (r *Rope) turnEach(x strided, s *Sequences, heads int, sign float32) {
	row := 0
	for _, n := range s.Lengths {
		if n > 0 {
			r.turn(x.at(row, 0), n, heads, 0, sign)
		}
		row += n
	}
}

// turn turns n rows in place: forward with sign 1, back with -1. The first is at position start.
func (r *Rope) turn(x strided, n, heads, start int, sign float32) {
	half := r.width / 2
	for i := range n {
		at := (start + i) * half
		cos, sin := r.cos[at:at+half], r.sin[at:at+half]
		for h := range heads {
			row := x.data[i*x.stride+h*r.width:][:r.width]
			low, high := row[:half], row[half:]
			for j, c := range cos {
				s := sign * sin[j]
				a, b := low[j], high[j]
				low[j], high[j] = a*c-b*s, b*c+a*s
			}
		}
	}
}
