package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Block is one pre-norm GPT-2 transformer block:
//
//	h = x + AttnProj(attention(QKV(norm1(x))))
//	y = h + MLPProj(gelu(FC(norm2(h))))
//
// Inputs: x [rows*Steps, Dim], then gain and bias of norm1, the parameters of QKV and AttnProj, gain and bias of norm2,
// the parameters of FC and MLPProj (those of an Affine: weight, bias, and lora_A and lora_B if its Rank > 0).
type Block struct {
	Attention
	QKV, AttnProj, FC, MLPProj Affine

	norm1, norm2 LayerNorm
	scratch      *Scratch

	// activations of the last Forward
	a1, qkv, ctx, h, a2, u, g []float32
}

// NewBlock is a block without LoRA; set the Rank, Scale and Noise of its Affines for LoRA.
func NewBlock(steps, heads, dim int, eps float64, scratch *Scratch) *Block {
	return &Block{
		Attention: Attention{Steps: steps, Heads: heads, Dim: dim},
		norm1:     LayerNorm{Eps: eps},
		norm2:     LayerNorm{Eps: eps},
		scratch:   scratch,
	}
}

func (b *Block) String() string { return "transformer block" }

// Shape implements Func.
func (b *Block) Shape(in []tensor.Shape) (tensor.Shape, error) {
	d := b.Dim
	if len(in) == 0 || len(in[0]) != 2 || in[0][1] != d || in[0][0]%b.Steps != 0 {
		return nil, fmt.Errorf("want x [rows*%d, %d] first, got %v", b.Steps, d, in)
	}
	if d%b.Heads != 0 {
		return nil, fmt.Errorf("dimension %d is not divisible by %d heads", d, b.Heads)
	}
	rest := in[1:]
	norm := func(name string) error {
		if len(rest) < 2 {
			return fmt.Errorf("parameters of %s are missing", name)
		}
		err := want(rest[:2], []string{name + " gain", name + " bias"}, tensor.Shape{d}, tensor.Shape{d})
		rest = rest[2:]
		return err
	}
	affine := func(name string, f *Affine, width, out int) (err error) {
		rest, err = f.check(rest, name, width, out)
		return err
	}
	for _, check := range []func() error{
		func() error { return norm("norm1") },
		func() error { return affine("attn.c_attn", &b.QKV, d, 3*d) },
		func() error { return affine("attn.c_proj", &b.AttnProj, d, d) },
		func() error { return norm("norm2") },
		func() error { return affine("mlp.c_fc", &b.FC, d, 4*d) },
		func() error { return affine("mlp.c_proj", &b.MLPProj, 4*d, d) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d inputs too many", len(rest))
	}
	return in[0], nil
}

// blockTensors are the parameters of a Block, or their gradients.
type blockTensors struct {
	gain1, bias1, gain2, bias2 []float32
	qkv, attnProj, fc, mlpProj tensors
}

func (b *Block) take(in [][]float32) (t blockTensors) {
	t.gain1, t.bias1 = in[0], in[1]
	t.qkv, in = b.QKV.take(in[2:])
	t.attnProj, in = b.AttnProj.take(in)
	t.gain2, t.bias2 = in[0], in[1]
	t.fc, in = b.FC.take(in[2:])
	t.mlpProj, _ = b.MLPProj.take(in)
	return t
}

// Forward implements Func.
func (b *Block) Forward(out []float32, in [][]float32) {
	x, p := in[0], b.take(in[1:])
	size := len(x)
	a1, qkv, ctx := sized(&b.a1, size), sized(&b.qkv, 3*size), sized(&b.ctx, size)
	b.norm1.forward(a1, x, p.gain1, p.bias1)
	clear(qkv)
	b.QKV.forward(qkv, a1, p.qkv)
	b.Attention.forward(ctx, qkv)
	h := sized(&b.h, size)
	copy(h, x)
	b.AttnProj.forward(h, ctx, p.attnProj)
	b.mlp(out, h, p)
}

// mlp writes h + MLPProj(gelu(FC(norm2(h)))) to out.
func (b *Block) mlp(out, h []float32, p blockTensors) {
	size := len(h)
	a2, u, g := sized(&b.a2, size), sized(&b.u, 4*size), sized(&b.g, 4*size)
	b.norm2.forward(a2, h, p.gain2, p.bias2)
	clear(u)
	b.FC.forward(u, a2, p.fc)
	kernel.GELU(g, u)
	copy(out, h)
	b.MLPProj.forward(out, g, p.mlpProj)
}

// Backward implements Func.
func (b *Block) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	x, p, d := in[0], b.take(in[1:]), b.take(grads[1:])
	size := len(x)
	wide, narrow, dh := b.scratch.slot(0, 4*size), b.scratch.slot(1, size), b.scratch.slot(2, size)

	b.MLPProj.backward(wide, d.mlpProj, grad, b.g[:4*size], p.mlpProj)
	kernel.GELUGrad(wide, b.u[:4*size], wide)
	b.FC.backward(narrow, d.fc, wide, b.a2[:size], p.fc)
	b.norm2.backward(dh, d.gain2, d.bias2, narrow, b.h[:size], p.gain2)
	for i, g := range grad {
		dh[i] += g
	}

	b.AttnProj.backward(narrow, d.attnProj, dh, b.ctx[:size], p.attnProj)
	dqkv := wide[:3*size]
	b.Attention.backward(dqkv, narrow, b.qkv[:3*size])
	dx := grads[0]
	if dx == nil && d.gain1 == nil && d.bias1 == nil {
		narrow = nil
	}
	b.QKV.backward(narrow, d.qkv, dqkv, b.a1[:size], p.qkv)
	if narrow == nil {
		return
	}
	b.norm1.backward(dx, d.gain1, d.bias1, narrow, x, p.gain1)
	if dx != nil {
		for i, g := range dh {
			dx[i] += g
		}
	}
}
