package model

import (
	"fmt"
	"maps"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/kernel"
)

// frozen are a base's matrices and tables by tensor name. All graphs of all models on the base share them.
type frozen map[string]*kernel.Frozen

// Stored is the base with its matrices and tables stored as d, for models to compute with: N parameters take about 2N bytes as BFloat16
// and 1.1N as Int8, and products widen them to float32 on the way; as W8A8, on machines that have what it takes, about 2.2N, and products are of
// bytes. Elsewhere W8A8 is Int8. Norms and biases stay float32. What is stored so has no Data in
// Tensors, and the base cannot be written as a file; its Digest stays that of b.
func (b *Base) Stored(d kernel.DType) *Base {
	d = d.OnThisMachine()
	if d == b.DType() {
		return b
	}
	out := &Base{Config: b.Config, Tokenizer: b.Tokenizer, Tensors: maps.Clone(b.Tensors), digest: b.Digest(), stored: make(frozen)}
	for _, name := range b.matrices() {
		t := b.whole(name)
		out.stored[name] = kernel.Freeze(d, t.Shape[0], t.Shape[1], t.Data)
		t.Data = nil
		out.Tensors[name] = t
	}
	return out
}

// DType tells how the matrices are stored.
func (b *Base) DType() kernel.DType {
	for _, f := range b.stored {
		return f.DType()
	}
	return kernel.Float32
}

// Bytes is the memory that the base takes, without what models on it compute with. See Model.BaseBytes.
func (b *Base) Bytes() int64 {
	var n int64
	for _, t := range b.Tensors {
		n += 4 * int64(len(t.Data))
	}
	for _, f := range b.stored {
		n += f.Bytes()
	}
	return n
}

// matrices names the tensors of two dimensions.
func (b *Base) matrices() []string {
	var all []string
	for _, t := range b.Config.tensors() {
		if len(t.shape) == 2 {
			all = append(all, t.name)
		}
	}
	return all
}

// whole is a tensor in float32.
func (b *Base) whole(name string) adapter.Tensor {
	t := b.Tensors[name]
	if f, ok := b.stored[name]; ok {
		rows, cols := f.Size()
		t.Data = make([]float32, rows*cols)
		for i := range rows {
			f.Row(t.Data[i*cols:], i)
		}
	}
	return t
}

// weights are the matrices and tables for computing. Those of a base in float32 have a second form for the products of the forward pass,
// which decoding, with its few rows a product, is made of; the backward pass and the head do without.
func (b *Base) weights() frozen {
	if b.stored != nil {
		return b.stored
	}
	b.preparing.Do(func() {
		b.prepared = make(frozen)
		for _, name := range b.matrices() {
			t := b.Tensors[name]
			b.prepared[name] = kernel.Freeze(kernel.Float32, t.Shape[0], t.Shape[1], t.Data)
		}
		a := b.Config.arch()
		pack := func(name string, transposed bool) { b.prepared[name] = b.prepared[name].Packed(transposed) }
		for i := range b.Config.Layers {
			for _, p := range a.block() {
				if !p.norm {
					pack(a.prefix(i)+p.name+".weight", p.outFirst)
				}
			}
		}
	})
	return b.prepared
}

// checkWhole refuses a base that cannot be written, because digits are lost.
func (b *Base) checkWhole() error {
	if b.stored != nil {
		return fmt.Errorf("the base is stored as %v, with fewer digits than it has: read it again", b.DType())
	}
	return nil
}
