package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Attention is causal multi-head attention: softmax(q k^T / sqrt(Dim/Heads)) v per row of Steps positions and head, where
// a position attends to itself and those before. Padding on the right needs no mask: no earlier position sees it.
// Input: qkv [rows*Steps, 3*Dim], with q, k and v side by side. Output: [rows*Steps, Dim].
type Attention struct {
	Steps, Heads, Dim int

	probs  []float32 // [rows, Heads, Steps, Steps] of the last Forward
	dprobs []float32 // scratch of the same shape
}

func (a *Attention) String() string { return "causal attention" }

// Shape implements Func.
func (a *Attention) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if a.Heads < 1 || a.Dim%a.Heads != 0 {
		return nil, fmt.Errorf("dimension %d is not divisible by %d heads", a.Dim, a.Heads)
	}
	if err := want(in, []string{"qkv"}, tensor.Shape{-1, 3 * a.Dim}); err != nil {
		return nil, err
	}
	if in[0][0]%a.Steps != 0 {
		return nil, fmt.Errorf("qkv has %d rows, not a multiple of %d positions", in[0][0], a.Steps)
	}
	return tensor.Shape{in[0][0], a.Dim}, nil
}

// Forward implements Func.
func (a *Attention) Forward(out []float32, in [][]float32) { a.forward(out, in[0]) }

// Backward implements Func.
func (a *Attention) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	a.backward(grads[0], grad, in[0])
}

func (a *Attention) forward(y, qkv []float32) {
	t, d, w := a.Steps, a.Dim, a.Dim/a.Heads
	heads := len(y) / (t * d) * a.Heads
	probs := sized(&a.probs, heads*t*t)
	scale := float32(1 / math.Sqrt(float64(w)))
	for i := range heads {
		at := i/a.Heads*t*3*d + i%a.Heads*w
		q, k, v := qkv[at:], qkv[at+d:], qkv[at+2*d:]
		p := probs[i*t*t:][:t*t]
		kernel.Gemm(false, true, t, t, w, scale, q, 3*d, k, 3*d, 0, p, t)
		for j := range t {
			row := p[j*t:][:t]
			softmax(row[:j+1])
			clear(row[j+1:])
		}
		kernel.Gemm(false, false, t, w, t, 1, p, t, v, 3*d, 0, y[i/a.Heads*t*d+i%a.Heads*w:], d)
	}
}

func (a *Attention) backward(dqkv, dy, qkv []float32) {
	t, d, w := a.Steps, a.Dim, a.Dim/a.Heads
	heads := len(dy) / (t * d) * a.Heads
	dprobs := sized(&a.dprobs, heads*t*t)
	scale := float32(1 / math.Sqrt(float64(w)))
	for i := range heads {
		at := i/a.Heads*t*3*d + i%a.Heads*w
		q, k, v := qkv[at:], qkv[at+d:], qkv[at+2*d:]
		dq, dk, dv := dqkv[at:], dqkv[at+d:], dqkv[at+2*d:]
		g := dy[i/a.Heads*t*d+i%a.Heads*w:]
		p, dp := a.probs[i*t*t:][:t*t], dprobs[i*t*t:][:t*t]
		kernel.Gemm(true, false, t, w, t, 1, p, t, g, d, 0, dv, 3*d)
		kernel.Gemm(false, true, t, t, w, 1, g, d, v, 3*d, 0, dp, t)
		for j := range t {
			row, drow := p[j*t:][:t], dp[j*t:][:t]
			var dot float32
			for n, x := range row[:j+1] {
				dot += x * drow[n]
			}
			for n, x := range row[:j+1] {
				drow[n] = x * (drow[n] - dot)
			}
			clear(drow[j+1:])
		}
		kernel.Gemm(false, false, t, w, t, scale, dp, t, k, 3*d, 0, dq, 3*d)
		kernel.Gemm(true, false, t, w, t, scale, dp, t, q, 3*d, 0, dk, 3*d)
	}
}

// softmax replaces the logits in x by their softmax and returns log(sum(exp(x))).
func softmax(x []float32) float64 {
	peak := x[0]
	for _, v := range x {
		peak = max(peak, v)
	}
	var sum float64
	for i, v := range x {
		e := math.Exp(float64(v - peak))
		x[i] = float32(e)
		sum += e
	}
	inverse := float32(1 / sum)
	for i := range x {
		x[i] *= inverse
	}
	return float64(peak) + math.Log(sum)
}
