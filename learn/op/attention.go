package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Attention is causal multi-head attention: softmax(q k^T / sqrt(Width)) v per sequence and head, where a position attends to
// itself and those before. With fewer KVHeads than Heads (grouped queries, arXiv 2305.13245), query head h uses the keys and
// values of head h / (Heads/KVHeads).
// Input: qkv [n, (Heads+2*KVHeads)*Width], with q, k and v side by side. Output: [n, Heads*Width].
type Attention struct {
	Heads, KVHeads, Width int
	Steps                 int        // positions of every sequence; n is a multiple of it
	Sequences             *Sequences // if not nil, of which n holds one after another

	evenly Sequences
	probs  []float32 // per sequence and head [steps, steps], of the last Forward
	dprobs []float32 // scratch of the same shape
	task   attentionTask
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
	if a.Sequences == nil && in[0][0]%a.Steps != 0 {
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

// keyColumn is where the keys and values of a query head begin.
func (a *Attention) keyColumn(head int) int { return head / (a.Heads / a.KVHeads) * a.Width }

func (a *Attention) scale() float32 { return float32(1 / math.Sqrt(float64(a.Width))) }

// sequences divides n rows.
func (a *Attention) sequences(n int) *Sequences {
	if a.Sequences != nil {
		return a.Sequences
	}
	return a.evenly.even(n, a.Steps)
}

// attentionTask is a pass over all pairs of a sequence and a head of keys, which no other pair shares anything with.
type attentionTask struct {
	*Attention
	back          bool
	y, q, k, v    strided // y: the result or its gradient
	dq, dk, dv    strided
	rows, entries []int // where the rows and the probabilities of a sequence begin
	lengths       []int
}

// run divides the rows and makes the pass.
func (t *attentionTask) run(a *Attention, n int) {
	t.Attention, t.lengths = a, a.sequences(n).Lengths
	t.rows, t.entries = t.rows[:0], t.entries[:0]
	rows, entries := 0, 0
	for _, l := range t.lengths {
		t.rows, t.entries = append(t.rows, rows), append(t.entries, entries)
		rows += l
		entries += a.Heads * l * l
	}
	a.probs = sized(&a.probs, entries)
	if t.back {
		a.dprobs = sized(&a.dprobs, entries)
	}
	pairs := len(t.lengths) * a.KVHeads
	work := entries * a.Width / max(1, pairs)
	kernel.Do(pairs, 1+attentionGrain/max(1, work), t)
}

// leave ends a part that was so many products of positions with those that they see, and so many passes over q, k, v and the result.
func (t *attentionTask) leave(p part, products, passes int) {
	seen, rows := 0, 0
	for _, n := range t.lengths {
		seen += n * (n + 1) / 2
		rows += n
	}
	leave(p, 2*products*seen*t.Heads*t.Width, 0, passes*rows*(2*t.Heads+2*t.KVHeads)*t.Width+2*passes*seen*t.Heads)
}

// attentionGrain is how many products of a query and a key, or the like, a thread takes at a time.
const attentionGrain = 1 << 18

// Run implements kernel.Task.
func (t *attentionTask) Run(lo, hi int) {
	group := t.Heads / t.KVHeads
	for i := lo; i < hi; i++ {
		sequence, shared := i/t.KVHeads, i%t.KVHeads
		for g := range group {
			t.head(sequence, shared*group+g, shared, g == 0)
		}
	}
}

// head is the pass of one head of queries; first of those that share keys, unless they are not shared.
func (t *attentionTask) head(sequence, head, shared int, first bool) {
	n, w := t.lengths[sequence], t.Width
	if n == 0 {
		return
	}
	row, scale := t.rows[sequence], t.scale()
	y, q := t.y.at(row, head*w), t.q.at(row, head*w)
	k, v := t.k.at(row, shared*w), t.v.at(row, shared*w)
	probs := t.probs[t.entries[sequence]+head*n*n:][:n*n]
	if !t.back {
		kernel.Gemm(false, true, n, n, w, scale, q.data, q.stride, k.data, k.stride, 0, probs, n)
		causalSoftmax(probs, n, 0)
		kernel.Gemm(false, false, n, w, n, 1, probs, n, v.data, v.stride, 0, y.data, y.stride)
		return
	}
	dprobs := t.dprobs[t.entries[sequence]+head*n*n:][:n*n]
	dq, dk, dv := t.dq.at(row, head*w), t.dk.at(row, shared*w), t.dv.at(row, shared*w)
	var sum float32 = 1
	if first {
		sum = 0
	}
	kernel.Gemm(true, false, n, w, n, 1, probs, n, y.data, y.stride, sum, dv.data, dv.stride)
	kernel.Gemm(false, true, n, n, w, 1, y.data, y.stride, v.data, v.stride, 0, dprobs, n)
	// Hidden positions have probability 0, and so no gradient.
	for i := range n {
		kernel.SoftmaxGrad(dprobs[i*n:][:n], probs[i*n:], dprobs[i*n:])
	}
	kernel.Gemm(false, false, n, w, n, scale, dprobs, n, k.data, k.stride, 0, dq.data, dq.stride)
	kernel.Gemm(true, false, n, w, n, scale, dprobs, n, q.data, q.stride, sum, dk.data, dk.stride)
}

// causalSoftmax is the softmax of the logits [n, t] of positions start, start+1, ..., each over itself and those before.
func causalSoftmax(logits []float32, t, start int) {
	for i := 0; i*t < len(logits); i++ {
		row, seen := logits[i*t:][:t], start+i+1
		kernel.Softmax(row[:seen], row)
		clear(row[seen:])
	}
}

func (a *Attention) forward(out []float32, q, k, v strided) {
	columns := a.Heads * a.Width
	t := &a.task
	t.back = false
	t.y, t.q, t.k, t.v = strided{out, columns}, q, k, v
	enter()
	t.run(a, len(out)/columns)
	t.leave(partAttention, 2, 1)
}

func (a *Attention) backward(dq, dk, dv strided, grad []float32, q, k, v strided) {
	columns := a.Heads * a.Width
	t := &a.task
	t.back = true
	t.y, t.q, t.k, t.v = strided{grad, columns}, q, k, v
	t.dq, t.dk, t.dv = dq, dk, dv
	enter()
	t.run(a, len(grad)/columns)
	t.leave(partAttentionGrad, 5, 2)
}
