package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Attention is causal multi-head attention: softmax(q k^T / sqrt(Width)) v per row of Steps positions and head, where a
// position attends to itself and those before. Padding on the right needs no mask: no earlier position sees it. With fewer
// KVHeads than Heads (grouped queries, arXiv 2305.13245), query head h uses the keys and values of head h / (Heads/KVHeads).
// Input: qkv [rows*Steps, (Heads+2*KVHeads)*Width], with q, k and v side by side. Output: [rows*Steps, Heads*Width].
type Attention struct {
	Steps, Heads, KVHeads, Width int

	probs  []float32 // [rows, Heads, Steps, Steps] of the last Forward
	dprobs []float32 // scratch of the same shape
}

func (a *Attention) String() string { return "causal attention" }

// columns counts the columns of queries, and those of keys or values.
func (a *Attention) columns() (q, k int) { return a.Heads * a.Width, a.KVHeads * a.Width }

func (a *Attention) check() error {
	if a.Width < 1 || a.KVHeads < 1 || a.Heads%a.KVHeads != 0 {
		return fmt.Errorf("%d heads of width %d cannot share the keys of %d", a.Heads, a.Width, a.KVHeads)
	}
	return nil
}

// Shape implements Func.
func (a *Attention) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	q, k := a.columns()
	if err := want(in, []string{"qkv"}, tensor.Shape{-1, q + 2*k}); err != nil {
		return nil, err
	}
	if in[0][0]%a.Steps != 0 {
		return nil, fmt.Errorf("qkv has %d rows, not a multiple of %d positions", in[0][0], a.Steps)
	}
	return tensor.Shape{in[0][0], q}, nil
}

// split gives q, k and v of rows that hold them side by side.
func (a *Attention) split(qkv []float32) (q, k, v strided) {
	nq, nk := a.columns()
	all := strided{qkv, nq + 2*nk}
	return all, all.at(0, nq), all.at(0, nq+nk)
}

// Forward implements Func.
func (a *Attention) Forward(out []float32, in [][]float32) {
	q, k, v := a.split(in[0])
	a.forward(out, q, k, v)
}

// Backward implements Func.
func (a *Attention) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	q, k, v := a.split(in[0])
	dq, dk, dv := a.split(grads[0])
	a.backward(dq, dk, dv, grad, q, k, v)
}

// head finds the i-th pair of row and head in matrices of queries (or outputs) and keys (or values).
func (a *Attention) head(i int, q, k strided) (strided, strided) {
	row, head := i/a.Heads*a.Steps, i%a.Heads
	return q.at(row, head*a.Width), k.at(row, a.keyColumn(head))
}

// keyColumn is where the keys and values of a query head begin.
func (a *Attention) keyColumn(head int) int { return head / (a.Heads / a.KVHeads) * a.Width }

func (a *Attention) scale() float32 { return float32(1 / math.Sqrt(float64(a.Width))) }

func (a *Attention) forward(out []float32, q, k, v strided) {
	t, w := a.Steps, a.Width
	heads := len(out) / (t * w)
	probs := sized(&a.probs, heads*t*t)
	for i := range heads {
		q, k := a.head(i, q, k)
		p := probs[i*t*t:][:t*t]
		kernel.Gemm(false, true, t, t, w, a.scale(), q.data, q.stride, k.data, k.stride, 0, p, t)
		hideFuture(p, t, 0)
	}
	kernel.Softmax(heads*t, t, probs, probs)
	y := strided{out, a.Heads * w}
	for i := range heads {
		y, v := a.head(i, y, v)
		kernel.Gemm(false, false, t, w, t, 1, probs[i*t*t:], t, v.data, v.stride, 0, y.data, y.stride)
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

func (a *Attention) backward(dq, dk, dv strided, grad []float32, q, k, v strided) {
	t, w := a.Steps, a.Width
	heads := len(grad) / (t * w)
	dprobs := sized(&a.dprobs, heads*t*t)
	dy := strided{grad, a.Heads * w}
	for i := range heads {
		g, v := a.head(i, dy, v)
		_, dv := a.head(i, dy, dv)
		kernel.Gemm(true, false, t, w, t, 1, a.probs[i*t*t:], t, g.data, g.stride, a.sum(i), dv.data, dv.stride)
		kernel.Gemm(false, true, t, t, w, 1, g.data, g.stride, v.data, v.stride, 0, dprobs[i*t*t:], t)
	}
	// Hidden positions have probability 0, and so no gradient.
	kernel.SoftmaxGrad(heads*t, t, dprobs, a.probs[:len(dprobs)], dprobs)
	for i := range heads {
		q, k := a.head(i, q, k)
		dq, dk := a.head(i, dq, dk)
		dp := dprobs[i*t*t:]
		kernel.Gemm(false, false, t, w, t, a.scale(), dp, t, k.data, k.stride, 0, dq.data, dq.stride)
		kernel.Gemm(true, false, t, w, t, a.scale(), dp, t, q.data, q.stride, a.sum(i), dk.data, dk.stride)
	}
}

// sum is 0 for the first head of a group, whose gradient of the shared keys is written, and 1 for the others, whose is added.
func (a *Attention) sum(i int) float32 {
	if i%(a.Heads/a.KVHeads) == 0 {
		return 0
	}
	return 1
}
