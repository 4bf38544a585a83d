package model

import "slices"

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
	a := c.arch()
	for i := range c.Layers {
		for _, p := range a.block() {
			if l.on(p) {
				name := loraPrefix(a.prefix(i) + p.name)
				all = append(all,
					newParameter(seed, name+loraA, uniform, p.in, l.rank, p.in),
					newParameter(seed, name+loraB, zeros, l.rank, p.out, l.rank))
			}
		}
	}
	return all
}
