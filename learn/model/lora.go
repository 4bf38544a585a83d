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

// loraPrefix is PEFT's name of a wrapped module; .lora_A.weight [r, in] and .lora_B.weight [out, r] follow.
func loraPrefix(module string) string { return "base_model.model." + module }

// parameters are A and B of every target, in layer order. B begins at zero, so that an untrained update changes nothing.
func (l lora) parameters(c Config, seed uint64) []*parameter {
	var all []*parameter
	for i := range c.Layers {
		for _, p := range c.block() {
			if l.on(p) {
				name := loraPrefix(blockPrefix(i) + p.name)
				all = append(all,
					newParameter(seed, name+".lora_A.weight", uniform, p.in, l.rank, p.in),
					newParameter(seed, name+".lora_B.weight", zeros, l.rank, p.out, l.rank))
			}
		}
	}
	return all
}
