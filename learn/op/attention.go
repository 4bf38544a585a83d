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
		p := probs[i*t*t:][:t*t]
		kernel.Gemm(false, true, t, t, w, scale, qkv[at:], 3*d, qkv[at+d:], 3*d, 0, p, t)
		hideFuture(p, t, 0)
	}
	kernel.Softmax(heads*t, t, probs, probs)
	for i := range heads {
		at := i/a.Heads*t*3*d + i%a.Heads*w
		kernel.Gemm(false, false, t, w, t, 1, probs[i*t*t:], t, qkv[at+2*d:], 3*d, 0, y[i/a.Heads*t*d+i%a.Heads*w:], d)
	}
}

// hideFuture takes the logits [n, t] of positions start, start+1, ... out of what each must not see.
func hideFuture(logits []float32, t, start int) {
	for i := 0; i*t < len(logits); i++ {
		row := logits[i*t:][:t]
		for j := start + i + 1; j < t; j++ {
			row[j] = float32(math.Inf(-1))
		}
	}
}

func (a *Attention) backward(dqkv, dy, qkv []float32) {
	t, d, w := a.Steps, a.Dim, a.Dim/a.Heads
	heads := len(dy) / (t * d) * a.Heads
	dprobs := sized(&a.dprobs, heads*t*t)
	scale := float32(1 / math.Sqrt(float64(w)))
	for i := range heads {
		at := i/a.Heads*t*3*d + i%a.Heads*w
		g := dy[i/a.Heads*t*d+i%a.Heads*w:]
		kernel.Gemm(true, false, t, w, t, 1, a.probs[i*t*t:], t, g, d, 0, dqkv[at+2*d:], 3*d)
		kernel.Gemm(false, true, t, t, w, 1, g, d, qkv[at+2*d:], 3*d, 0, dprobs[i*t*t:], t)
	}
	// Hidden positions have probability 0, and so no gradient.
	kernel.SoftmaxGrad(heads*t, t, dprobs, a.probs[:len(dprobs)], dprobs)
	for i := range heads {
		at := i/a.Heads*t*3*d + i%a.Heads*w
		dp := dprobs[i*t*t:]
		kernel.Gemm(false, false, t, w, t, scale, dp, t, qkv[at+d:], 3*d, 0, dqkv[at:], 3*d)
		kernel.Gemm(true, false, t, w, t, scale, dp, t, qkv[at:], 3*d, 0, dqkv[at+d:], 3*d)
	}
}
