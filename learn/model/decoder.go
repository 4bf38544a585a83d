package model

import (
	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/op"
)

// decoder builds the blocks of one backbone.
type decoder struct {
	arch    architecture
	lora    lora
	frozen  frozen
	steps   int
	rope    *op.Rope
	scratch *op.Scratch
	noise   func(rate float64) op.Noise
}

func newDecoder(c Config, l lora, weights frozen, steps int, noise func(rate float64) op.Noise) *decoder {
	a := c.arch()
	return &decoder{arch: a, lora: l, frozen: weights, steps: steps, rope: a.newRope(steps), scratch: new(op.Scratch), noise: noise}
}

// block is one transformer block with its LoRA, and the names of its tensors in the order of op.Block's inputs.
func (d *decoder) block(layer int) (*op.Block, []string) {
	b := d.arch.newBlock(d.steps, d.rope, d.scratch)
	affines, prefix := b.Affines(), d.arch.prefix(layer)
	var all []string
	for _, p := range d.arch.block() {
		for _, t := range p.tensors(prefix) {
			all = append(all, t.name)
		}
		if p.norm {
			continue
		}
		f := affines[0]
		affines = affines[1:]
		module := prefix + p.name
		f.Frozen = d.frozen[module+".weight"]
		if d.lora.on(p) {
			f.Rank, f.Scale, f.Noise = d.lora.rank, d.lora.scale, d.noise(d.lora.dropout)
			all = append(all, loraPrefix(module)+loraA, loraPrefix(module)+loraB)
		}
	}
	return b, all
}

// decode adds the backbone and gives the hidden states after the last norm, [rows*(prompt+slots), dim], or if most is not 0 only
// those of at most so many positions, which the last block is to Keep.
func (b *builder) decode(c Config, l lora, embed *op.Embed, prompts *gorgonia.Node, most int) (hidden *gorgonia.Node, last *op.Block) {
	d := newDecoder(c, l, b.weights, embed.Prompt+embed.Slots, b.noise)
	n := d.arch.names()
	embed.Tokens, embed.Positions = b.weights[n.tokens], b.weights[n.positions]
	in := []*gorgonia.Node{b.tensor(n.tokens)}
	if embed.Rotary = n.positions == ""; !embed.Rotary {
		in = append(in, b.tensor(n.positions))
	}
	if embed.Prompt > 0 {
		in = append(in, prompts)
	}
	x := b.apply(embed, in...)
	for i := range c.Layers {
		block, tensors := d.block(i)
		in := []*gorgonia.Node{x}
		for _, name := range tensors {
			in = append(in, b.tensor(name))
		}
		block.Sequences = embed.Sequences
		if last = block; i == c.Layers-1 {
			block.Most = most
		}
		x = b.apply(block, in...)
	}
	in = []*gorgonia.Node{x}
	for _, t := range n.norm.tensors("") {
		in = append(in, b.tensor(t.name))
	}
	return b.apply(d.arch.newNorm(), in...), last
}

// head is the matrix that turns hidden states into logits.
func (b *builder) head(c Config) *gorgonia.Node { return b.tensor(c.arch().names().head) }
