package adapter

import (
	"fmt"
	"slices"
)

// Fit is the adapter as a component of the structure of own, a model's LoRA with that alpha: the same values under own's signature. Where
// rank, alpha, modules or shapes differ, the error wraps ErrStructure and names what differs.
func (p *PEFT) Fit(own Component, alpha float64) (Component, error) {
	pairs, err := pairsOf(own.Tensors)
	if err != nil {
		return Component{}, err
	}
	if len(pairs) > 0 && p.Rank != pairs[0].rank {
		return Component{}, fmt.Errorf("r is %d; the model's LoRA has rank %d: %w", p.Rank, pairs[0].rank, ErrStructure)
	}
	if p.Alpha != alpha {
		return Component{}, fmt.Errorf("lora_alpha is %v; the model's is %v: %w", p.Alpha, alpha, ErrStructure)
	}
	given := map[string]Tensor{}
	for _, t := range p.Tensors {
		given[t.Name] = t
	}
	c := Component{Name: own.Name, Signature: own.Signature}
	for _, want := range own.Tensors {
		t, ok := given[want.Name]
		switch {
		case !ok:
			return Component{}, fmt.Errorf("tensor %q is missing: target_modules %q leaves out a module that the model's LoRA is on: %w", want.Name, p.Targets, ErrStructure)
		case !slices.Equal(t.Shape, want.Shape):
			return Component{}, fmt.Errorf("tensor %q has shape %v; the model's is %v: %w", t.Name, t.Shape, want.Shape, ErrStructure)
		}
		c.Tensors = append(c.Tensors, t)
		delete(given, want.Name)
	}
	for _, t := range p.Tensors {
		if _, left := given[t.Name]; left {
			return Component{}, fmt.Errorf("tensor %q is for a module that the model has no LoRA on: %w", t.Name, ErrStructure)
		}
	}
	return c.Clone(), nil
}
