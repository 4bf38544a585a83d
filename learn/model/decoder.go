package model

import (
	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/op"
)

// packs are frozen matrices by tensor name, prepared for products and shared by all graphs of a model.
type packs map[string]*op.Packed

func packBase(b *Base) packs {
	all := make(packs)
	for _, t := range b.Config.tensors() {
		if len(t.shape) == 2 && t.name != wpeName {
			all[t.name] = op.Pack(b.Tensors[t.name].Data, t.shape[0], t.shape[1])
		}
	}
	return all
}

// newBlock is one transformer block with its LoRA, and the names of its tensors in the order of op.Block's inputs.
func newBlock(c Config, l lora, packed packs, layer, steps int, scratch *op.Scratch, noise func(rate float64) op.Noise) (*op.Block, []string) {
	b := op.NewBlock(steps, c.Heads, c.Dim, c.Eps, scratch)
	affines := map[string]*op.Affine{"attn.c_attn": &b.QKV, "attn.c_proj": &b.AttnProj, "mlp.c_fc": &b.FC, "mlp.c_proj": &b.MLPProj}
	var names []string
	for _, p := range c.block() {
		module := blockPrefix(layer) + p.name
		names = append(names, module+".weight", module+".bias")
		if p.norm {
			continue
		}
		f := affines[p.name]
		f.Packed = packed[module+".weight"]
		if l.on(p) {
			f.Rank, f.Scale, f.Noise = l.rank, l.scale, noise(l.dropout)
			names = append(names, loraPrefix(module)+".lora_A.weight", loraPrefix(module)+".lora_B.weight")
		}
	}
	return b, names
}

// decode adds the backbone and gives the hidden states after the last layer norm, [rows*(prompt+slots), dim].
func (b *builder) decode(c Config, l lora, embed *op.Embed, prompts *gorgonia.Node) *gorgonia.Node {
	in := []*gorgonia.Node{b.tensor(wteName), b.tensor(wpeName)}
	if embed.Prompt > 0 {
		in = append(in, prompts)
	}
	x := b.apply(embed, in...)
	scratch := new(op.Scratch)
	for i := range c.Layers {
		block, names := newBlock(c, l, b.packed, i, embed.Prompt+embed.Slots, scratch, b.noise)
		in := []*gorgonia.Node{x}
		for _, name := range names {
			in = append(in, b.tensor(name))
		}
		x = b.apply(block, in...)
	}
	return b.norm(lnfName, c.Eps, x)
}
