package model

import (
	"maps"
	"slices"

	"github.com/mlecs/mlecs/learn/kernel"
)

// lora says which modules of the backbone have a low-rank update.
type lora struct {
	rank    int // 0: none
	scale   float32
	dropout float64
	targets []string
}

func (s Spec) lora() lora {
	return lora{rank: s.Rank, scale: float32(s.Alpha / float64(s.Rank)), dropout: s.LoRADrop, targets: s.Targets}
}

func (l lora) on(p part) bool {
	return l.rank > 0 && !p.norm && slices.ContainsFunc(l.targets, func(t string) bool { return matches(p.name, t) })
}

// What follows PEFT's name of a wrapped module.
const (
	loraA = ".lora_A.weight" // [r, in]
	loraB = ".lora_B.weight" // [out, r]
)

// loraPrefix is PEFT's name of a wrapped module.
func loraPrefix(module string) string { return "base_model.model." + module }

// parameters are A and B of every target, in layer order. B begins at zero, so that an untrained update changes nothing.
func (l lora) parameters(c Config, seed uint64) []*parameter {
	var all []*parameter
	l.each(c, func(module string, p part) {
		name := loraPrefix(module)
		all = append(all,
			newParameter(seed, name+loraA, uniform, p.in, l.rank, p.in),
			newParameter(seed, name+loraB, zeros, l.rank, p.out, l.rank))
	})
	return all
}

// each visits the targets in layer order.
func (l lora) each(c Config, visit func(module string, p part)) {
	a := c.arch()
	for i := range c.Layers {
		for _, p := range a.block() {
			if l.on(p) {
				visit(a.prefix(i)+p.name, p)
			}
		}
	}
}

// merge gives the base with the updates added to its weights, W + scale B A, in float64 before rounding. It shares what is not
// tuned with base.
func (l lora) merge(base *Base, trained map[string]*parameter) *Base {
	merged := &Base{Config: base.Config, Tokenizer: base.Tokenizer, Tensors: maps.Clone(base.Tensors)}
	l.each(base.Config, func(module string, p part) {
		w := merged.Tensors[module+".weight"]
		w.Data = slices.Clone(w.Data)
		a, b := trained[loraPrefix(module)+loraA].Data, trained[loraPrefix(module)+loraB].Data
		kernel.Parallel(p.out, 1, func(lo, hi int) {
			for o := lo; o < hi; o++ {
				for i := range p.in {
					var sum float64
					for r := range l.rank {
						sum += float64(b[o*l.rank+r]) * float64(a[r*p.in+i])
					}
					at := i*p.out + o
					if p.outFirst {
						at = o*p.in + i
					}
					w.Data[at] = float32(float64(w.Data[at]) + float64(l.scale)*sum)
				}
			}
		})
		merged.Tensors[w.Name] = w
	})
	return merged
}

// Merged is the base with this model's LoRA added to its weights: a backbone that answers as this one does, given the same soft
// prompts. It shares what LoRA does not tune with the base.
func (m *Model) Merged() *Base { return m.spec.lora().merge(m.base, m.byName) }
