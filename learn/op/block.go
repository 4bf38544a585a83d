package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Block is one pre-norm transformer block,
//
//	h = x + out(attention(in(norm1(x))))
//	y = h + down(activation(up(norm2(h))))
//
// of the family that its constructor names. Inputs: x [rows*Steps, Dim], then the parameters in the order of computation:
// those of norm1, of the maps of in, of out, of norm2, of the maps of up, and of down. Those of a norm are its gain, and its
// bias if it has one; those of a map are an Affine's: weight, bias if any, and lora_A and lora_B if its Rank > 0.
type Block struct {
	// Sequences, if not nil, are those of x; otherwise all have Steps positions.
	Sequences *Sequences
	// Most, if not 0, makes this the last block of a graph that reads few positions: the output is [Most, Dim] and begins with
	// those of the rows Keep of x, in that order. What follows them means nothing.
	Most int
	Keep []int32

	attention    Attention
	dim          int
	norm1, norm2 Norm
	in           []*Affine // one to q, k and v side by side, or one to each
	out          *Affine
	up           []*Affine // one that GELU follows, or gate and up of SwiGLU
	down         *Affine
	rope         *Rope // nil: positions are in x
	scratch      *Scratch

	// activations of the last Forward; u is the slope of the activation there, not what it was taken of
	a1, qkv, ctx, h, a2, u, g []float32
	keptX, keptCtx            []float32 // rows Keep of x and ctx
}

// BlockShape is the size of a Block.
type BlockShape struct {
	Steps, Dim int
	Heads      int
	KVHeads    int // heads of keys and values; divides Heads
	HeadDim    int // width of a head
	Hidden     int // width between up and down
	Eps        float64
}

func newBlock(s BlockShape, scratch *Scratch) *Block {
	return &Block{
		attention: Attention{Steps: s.Steps, Heads: s.Heads, KVHeads: s.KVHeads, Width: s.HeadDim},
		dim:       s.Dim, scratch: scratch,
	}
}

// NewGPT2Block has layer norms, one map to q, k and v, GELU, and biases. Weights are [in, out].
func NewGPT2Block(s BlockShape, scratch *Scratch) *Block {
	b := newBlock(s, scratch)
	affine := func(name string, in, out int) *Affine { return &Affine{name: name, in: in, out: out} }
	q, k := b.attention.columns()
	b.norm1, b.norm2 = &LayerNorm{Eps: s.Eps}, &LayerNorm{Eps: s.Eps}
	b.in, b.out = []*Affine{affine("c_attn", s.Dim, q+2*k)}, affine("attn.c_proj", q, s.Dim)
	b.up, b.down = []*Affine{affine("c_fc", s.Dim, s.Hidden)}, affine("mlp.c_proj", s.Hidden, s.Dim)
	return b
}

// NewLlamaBlock has RMS norms, a map to each of q, k and v, turned q and k, SwiGLU, and no biases. Weights are [out, in].
// rope must cover Steps positions.
func NewLlamaBlock(s BlockShape, rope *Rope, scratch *Scratch) *Block {
	b := newBlock(s, scratch)
	affine := func(name string, in, out int) *Affine {
		return &Affine{name: name, in: in, out: out, OutFirst: true, NoBias: true}
	}
	q, k := b.attention.columns()
	b.rope = rope
	b.norm1, b.norm2 = &RMSNorm{Eps: s.Eps}, &RMSNorm{Eps: s.Eps}
	b.in, b.out = []*Affine{affine("q_proj", s.Dim, q), affine("k_proj", s.Dim, k), affine("v_proj", s.Dim, k)}, affine("o_proj", q, s.Dim)
	b.up, b.down = []*Affine{affine("gate_proj", s.Dim, s.Hidden), affine("up_proj", s.Dim, s.Hidden)}, affine("down_proj", s.Hidden, s.Dim)
	return b
}

// Affines are the maps in the order of their parameters: in, out, up, down. Set their Rank, Scale, Noise and Frozen before the
// block is used.
func (b *Block) Affines() []*Affine {
	return append(append(append(append([]*Affine(nil), b.in...), b.out), b.up...), b.down)
}

func (b *Block) String() string { return "transformer block" }

// Shape implements Func.
func (b *Block) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) == 0 || len(in[0]) != 2 || in[0][1] != b.dim || in[0][0]%b.attention.Steps != 0 {
		return nil, fmt.Errorf("want x [rows*%d, %d] first, got %v", b.attention.Steps, b.dim, in)
	}
	if err := b.attention.check(); err != nil {
		return nil, err
	}
	rest, err := b.checkNorm(b.norm1, in[1:])
	for i, f := range b.Affines() {
		if i == len(b.in)+1 && err == nil {
			rest, err = b.checkNorm(b.norm2, rest)
		}
		if err == nil {
			rest, err = f.check(rest)
		}
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d inputs too many", len(rest))
	}
	if b.Most > 0 {
		return tensor.Shape{b.Most, b.dim}, err
	}
	return in[0], err
}

// checkNorm verifies the shapes of the parameters at the head of in and returns the rest.
func (b *Block) checkNorm(norm Norm, in []tensor.Shape) ([]tensor.Shape, error) {
	names := norm.parameters()
	if len(in) < len(names) {
		return nil, fmt.Errorf("parameters of %v are missing", norm)
	}
	shapes := make([]tensor.Shape, len(names))
	for i := range shapes {
		shapes[i] = tensor.Shape{b.dim}
	}
	return in[len(names):], want(in[:len(names)], names, shapes...)
}

// blockTensors are the parameters of a Block, or their gradients.
type blockTensors struct {
	norm1, norm2 [][]float32
	in           [3]tensors
	out          tensors
	up           [2]tensors
	down         tensors
}

func (b *Block) take(in [][]float32) (t blockTensors) {
	n := len(b.norm1.parameters())
	t.norm1, in = in[:n], in[n:]
	for i, f := range b.in {
		t.in[i], in = f.take(in)
	}
	t.out, in = b.out.take(in)
	t.norm2, in = in[:n], in[n:]
	for i, f := range b.up {
		t.up[i], in = f.take(in)
	}
	t.down, _ = b.down.take(in)
	return t
}

// sequences are those of x, of which it gives the rows that are in use.
func (b *Block) sequences(x []float32) (*Sequences, []float32) {
	b.attention.Sequences = b.Sequences
	s := b.attention.sequences(len(x) / b.dim)
	return s, x[:s.Total()*b.dim]
}

// Forward implements Func.
func (b *Block) Forward(out []float32, in [][]float32) {
	p := b.take(in[1:])
	seqs, x := b.sequences(in[0])
	q, k, v := b.project(x, p)
	if b.rope != nil {
		b.rope.turnEach(q, seqs, b.attention.Heads, 1)
		b.rope.turnEach(k, seqs, b.attention.KVHeads, 1)
	}
	ctx := b.input(&b.ctx, slotCtx, len(x)/b.dim*b.out.in, b.out)
	b.attention.forward(ctx, q, k, v)
	if b.Most > 0 {
		x, ctx = gather(&b.keptX, x, b.dim, b.Keep), gather(&b.keptCtx, ctx, b.out.in, b.Keep)
	}
	b.finish(out[:len(x)], x, ctx, p)
}

// gather copies rows of x, width elements each, to *buf.
func gather(buf *[]float32, x []float32, width int, rows []int32) []float32 {
	y := sized(buf, len(rows)*width)
	for i, r := range rows {
		copy(y[i*width:][:width], x[int(r)*width:])
	}
	return y
}

// scatter adds the rows of y to those of x that they were gathered from.
func scatter(x, y []float32, width int, rows []int32) {
	for i, r := range rows {
		addInto(x[int(r)*width:][:width], y[i*width:][:width])
	}
}

// project computes in(norm1(x)).
func (b *Block) project(x []float32, p blockTensors) (q, k, v strided) {
	n := len(x) / b.dim
	a1, qkv := sized(&b.a1, len(x)), sized(&b.qkv, n*width(b.in))
	enter()
	b.norm1.forward(a1, x, p.norm1)
	leave(partNorm, 8*len(x), 0, 2*len(x))
	apply(qkv, b.in, a1, p.in[:])
	return b.split(qkv)
}

// split gives q, k and v of what the maps of in wrote.
func (b *Block) split(qkv []float32) (q, k, v strided) {
	if len(b.in) == 1 {
		return b.attention.split(qkv)
	}
	nq, nk := b.attention.columns()
	n := len(qkv) / (nq + 2*nk)
	return strided{qkv[:n*nq], nq}, strided{qkv[n*nq:][:n*nk], nk}, strided{qkv[n*(nq+nk):], nk}
}

// Slots of the scratch memory for inputs of maps.
const (
	slotCtx = iota + 4
	slotA2
	slotG
)

// input is memory for the input of maps, until their gradients are computed. If none of them needs it, because the weights are frozen and
// there is no LoRA, the blocks share it, and what it holds lasts only to the next.
func (b *Block) input(buf *[]float32, slot, n int, maps ...*Affine) []float32 {
	for _, f := range maps {
		if f.Frozen == nil || f.Rank > 0 {
			return sized(buf, n)
		}
	}
	return b.scratch.slot(slot, n)
}

// finish computes the rest of the block from the attention's result. out may be x.
func (b *Block) finish(out, x, ctx []float32, p blockTensors) {
	size := len(x)
	n := size / b.dim
	h, a2 := sized(&b.h, size), b.input(&b.a2, slotA2, size, b.up...)
	copy(h, x)
	b.out.forwardAdd(h, ctx, p.out)
	enter()
	b.norm2.forward(a2, h, p.norm2)
	leave(partNorm, 8*size, 0, 2*size)
	u, g := sized(&b.u, n*width(b.up)), b.input(&b.g, slotG, n*b.down.in, b.down)
	apply(u, b.up, a2, p.up[:])
	enter()
	if len(b.up) == 1 {
		kernel.GELUSlope(g, u, u)
	} else {
		kernel.SwiGLU(g, u[:len(g)], u[len(g):], u[:len(g)], u[len(g):])
	}
	leave(partActivation, 30*len(g), 0, 2*len(u)+len(g))
	copy(out, h)
	b.down.forwardAdd(out, g, p.down)
}

// Backward implements Func.
func (b *Block) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	p, d := b.take(in[1:]), b.take(grads[1:])
	seqs, x := b.sequences(in[0])
	n := len(x) / b.dim
	var ctx []float32
	kept := len(x)
	if b.Most > 0 {
		kept = len(b.Keep) * b.dim
		ctx = b.keptCtx[:len(b.Keep)*b.out.in]
	} else {
		ctx = b.input(&b.ctx, slotCtx, n*b.out.in, b.out)
	}
	dh := b.scratch.slot(2, kept)
	b.finishGrad(dh, grad[:kept], p, d)

	dctx, dqkv := b.scratch.slot(1, n*b.out.in), b.scratch.slot(0, n*width(b.in))
	if b.Most > 0 {
		some := b.scratch.slot(3, len(ctx))
		b.out.backward(some, 0, d.out, dh, ctx, p.out)
		clear(dctx)
		scatter(dctx, some, b.out.in, b.Keep)
	} else {
		b.out.backward(dctx, 0, d.out, dh, ctx, p.out)
	}
	q, k, v := b.split(b.qkv[:len(dqkv)])
	dq, dk, dv := b.split(dqkv)
	b.attention.backward(dq, dk, dv, dctx, q, k, v)
	if b.rope != nil {
		b.rope.turnEach(dq, seqs, b.attention.Heads, -1)
		b.rope.turnEach(dk, seqs, b.attention.KVHeads, -1)
	}
	dx := grads[0]
	if dx != nil {
		dx = dx[:len(x)]
	}
	var da []float32
	if dx != nil || wanted(d.norm1) {
		da = b.scratch.slot(1, len(x))
	}
	applyGrad(da, b.in, d.in[:], dqkv, b.a1[:len(x)], p.in[:])
	if da == nil {
		return
	}
	enter()
	b.norm1.backward(dx, d.norm1, da, x, p.norm1)
	leave(partNormGrad, 12*len(x), 0, 3*len(x))
	switch {
	case dx == nil:
	case b.Most > 0:
		scatter(dx, dh, b.dim, b.Keep)
	default:
		addInto(dx, dh)
	}
}

// finishGrad is the gradient of finish with respect to h, in dh, and its parameters.
func (b *Block) finishGrad(dh, grad []float32, p, d blockTensors) {
	size := len(grad)
	n := size / b.dim
	g, u := b.input(&b.g, slotG, n*b.down.in, b.down), b.u[:n*width(b.up)]
	dg, du := b.scratch.slot(0, len(g)), b.scratch.slot(3, len(u))
	b.down.backward(dg, 0, d.down, grad, g, p.down)
	enter()
	for at := 0; at < len(u); at += len(dg) {
		kernel.Mul(du[at:at+len(dg)], u[at:], dg)
	}
	leave(partActivationGrad, len(u), 0, 2*len(u)+len(dg))
	da := b.scratch.slot(1, size)
	applyGrad(da, b.up, d.up[:], du, b.input(&b.a2, slotA2, size, b.up...), p.up[:])
	enter()
	b.norm2.backward(dh, d.norm2, da, b.h[:size], p.norm2)
	leave(partNormGrad, 12*size, 0, 3*size)
	addInto(dh, grad)
}

func wanted(grads [][]float32) bool {
	for _, g := range grads {
		if g != nil {
			return true
		}
	}
	return false
}

// width sums the columns of the results of maps.
func width(maps []*Affine) int {
	n := 0
	for _, f := range maps {
		n += f.out
	}
	return n
}

// apply writes the results of maps of one x, one after another, to y.
func apply(y []float32, maps []*Affine, x []float32, p []tensors) {
	for i, f := range maps {
		size := len(x) / f.in * f.out
		f.forward(y[:size], x, p[i])
		y = y[size:]
	}
}

// applyGrad is the gradient of apply: the sum over the maps in dx, unless nil, and those of d that are not nil.
func applyGrad(dx []float32, maps []*Affine, d []tensors, dy, x []float32, p []tensors) {
	for i, f := range maps {
		size := len(x) / f.in * f.out
		f.backward(dx, float32(min(i, 1)), d[i], dy[:size], x, p[i])
		dy = dy[size:]
	}
}
