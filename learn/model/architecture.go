package model

import (
	"fmt"

	"github.com/mlecs/mlecs/learn/op"
)

// architecture is what a family of backbones has of its own: the names and shapes of its tensors, its limits, and its op.
// Everything else in this package is written once, over it.
type architecture interface {
	// sizes are the fields that bound memory, by their names in config.json; check sees to the rest of the fields.
	sizes() []size
	check() error
	epsName() string

	names() names
	prefix(layer int) string // of the names in a block
	block() []part           // in the order of op.Block's inputs
	newBlock(steps int, rope *op.Rope, scratch *op.Scratch) *op.Block
	newNorm() op.Norm
	newRope(steps int) *op.Rope // nil without rotary positions

	targets() []string // of LoRA, unless a Spec names others
	hfConfig() any     // config.json
}

// size is a field of a Config.
type size struct {
	name       string
	value, max int
}

// names are the tensors outside the blocks.
type names struct {
	tokens    string // [vocab, dim]
	positions string // [positions, dim]; "" with rotary positions
	norm      part   // the last one
	head      string // [vocab, dim]; equal to tokens if tied
}

func (c Config) architecture() (architecture, error) {
	switch c.Family {
	case GPT2:
		return gpt2{c}, nil
	case Llama:
		return llama{c}, nil
	}
	return nil, fmt.Errorf("config: unknown %v; there are %v and %v", c.Family, GPT2, Llama)
}

// arch is the architecture of a valid Config.
func (c Config) arch() architecture {
	a, err := c.architecture()
	if err != nil {
		panic(err)
	}
	return a
}

// part is a module of a backbone: a norm, or a linear map that LoRA can tune.
type part struct {
	name     string
	norm     bool
	in, out  int
	outFirst bool // the weight is [out, in]
	noBias   bool
	residual bool // writes to the residual stream
}

// tensors lists the tensors of the part, weight first.
func (p part) tensors(prefix string) []named {
	name := prefix + p.name
	shape := []int{p.in, p.out}
	switch {
	case p.norm:
		shape = []int{p.out}
	case p.outFirst:
		shape = []int{p.out, p.in}
	}
	all := []named{{name + ".weight", shape}}
	if !p.noBias {
		all = append(all, named{name + ".bias", []int{p.out}})
	}
	return all
}

// named is the name and shape of a tensor.
type named struct {
	name  string
	shape []int
}

func (n named) size() int64 {
	size := int64(1)
	for _, d := range n.shape {
		size *= int64(d)
	}
	return size
}

// tensors lists the tensors of the backbone.
func (c Config) tensors() []named {
	a := c.arch()
	n := a.names()
	all := []named{{n.tokens, []int{c.Vocab, c.Dim}}}
	if n.positions != "" {
		all = append(all, named{n.positions, []int{c.Positions, c.Dim}})
	}
	for i := range c.Layers {
		for _, p := range a.block() {
			all = append(all, p.tensors(a.prefix(i))...)
		}
	}
	all = append(all, n.norm.tensors("")...)
	if n.head != n.tokens {
		all = append(all, named{n.head, []int{c.Vocab, c.Dim}})
	}
	return all
}

// params counts the elements of all tensors.
func (c Config) params() int64 {
	var n int64
	for _, t := range c.tensors() {
		n += t.size()
	}
	return n
}
