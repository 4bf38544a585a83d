package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// RMSNorm is y = x / sqrt(mean(x^2) + Eps) * gain over the last axis of x [n, d] (arXiv 1910.07467). Inputs: x, gain [d].
type RMSNorm struct {
	Eps float64

	scale []float32 // of the rows of the last Forward
}

func (l *RMSNorm) String() string { return "RMS norm" }

// Shape implements Func.
func (l *RMSNorm) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 2 || len(in[0]) != 2 {
		return nil, fmt.Errorf("want x [n, d] and gain [d], got %v", in)
	}
	if err := want(in, []string{"x", "gain"}, tensor.Shape{-1, in[0][1]}, tensor.Shape{in[0][1]}); err != nil {
		return nil, err
	}
	return in[0], nil
}

// Forward implements Func. Without a Backward to follow, out may be x.
func (l *RMSNorm) Forward(out []float32, in [][]float32) { l.forward(out, in[0], in[1:]) }

// Backward implements Func.
func (l *RMSNorm) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	l.backward(grads[0], grads[1:], grad, in[0], in[1:])
}

func (l *RMSNorm) parameters() []string { return []string{"gain"} }

func (l *RMSNorm) forward(y, x []float32, p [][]float32) {
	gain := p[0]
	d := len(gain)
	n := len(x) / d
	scale := sized(&l.scale, n)
	kernel.Parallel(n, rowGrain(d), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			x, y := x[i*d:][:d], y[i*d:][:d]
			s := float32(1 / math.Sqrt(float64(kernel.Dot(x, x))/float64(d)+l.Eps))
			scale[i] = s
			for j, v := range x {
				y[j] = v * s * gain[j]
			}
		}
	})
}

// backward writes the gradients that are not nil. dx may be dy.
func (l *RMSNorm) backward(dx []float32, grads [][]float32, dy, x []float32, p [][]float32) {
	gain := p[0]
	d := len(gain)
	n := len(dy) / d
	if dgain := grads[0]; dgain != nil { // first: dx may overwrite dy
		clear(dgain)
		for i, s := range l.scale[:n] {
			x, dy := x[i*d:][:d], dy[i*d:][:d]
			for j, g := range dy {
				dgain[j] += g * x[j] * s
			}
		}
	}
	if dx == nil {
		return
	}
	kernel.Parallel(n, rowGrain(d), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			x, dy, dx, s := x[i*d:][:d], dy[i*d:][:d], dx[i*d:][:d], l.scale[i]
			var dotted float32 // of dy*gain with x
			for j, g := range dy {
				dotted += g * gain[j] * x[j]
			}
			pull := dotted * s * s * s / float32(d)
			for j, g := range dy {
				dx[j] = s*g*gain[j] - pull*x[j]
			}
		}
	})
}

// rowGrain is how many rows of d elements a thread takes at a time.
func rowGrain(d int) int { return max(1, 1<<14/d) }
