package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/adapter"
)

// add appends parameters as one component. extra is what else must be equal for two such components to be averaged.
func (m *Model) add(name string, params []*parameter, extra ...string) {
	if len(params) == 0 {
		return
	}
	// In name order, as a component comes back from a file.
	slices.SortFunc(params, func(a, b *parameter) int { return strings.Compare(a.Name, b.Name) })
	from := len(m.params)
	m.params = append(m.params, params...)
	for _, p := range params {
		m.byName[p.Name] = p
	}
	c := adapter.Component{Tensors: m.tensors(from, len(m.params))}
	m.parts = append(m.parts, partition{name: name, signature: adapter.Signature(c.Tensors, extra...), from: from, to: len(m.params)})
}

func (m *Model) tensors(from, to int) []adapter.Tensor {
	all := make([]adapter.Tensor, 0, to-from)
	for _, p := range m.params[from:to] {
		all = append(all, p.Tensor)
	}
	return all
}

func (m *Model) component(p partition) adapter.Component {
	return adapter.Component{Name: p.name, Signature: p.signature, Tensors: m.tensors(p.from, p.to)}
}

// Components are deep copies of the trainable parts: "lora", per modality "encoder/<modality>" (with its projection) and
// "connector/<modality>" (its way into the fused representation), and "connector" (from there to the soft prompts). Tensors are in name
// order. The signature covers the base's weights and LoRA's alpha where they matter.
func (m *Model) Components() []adapter.Component {
	all := make([]adapter.Component, len(m.parts))
	for i, p := range m.parts {
		all[i] = m.component(p).Clone()
	}
	return all
}

// SetComponent replaces the tensors of the component with c's name by copies of c's. On any difference in structure the
// model keeps what it had; the error wraps adapter.ErrStructure and names what differs. The optimiser's moments stay.
func (m *Model) SetComponent(c adapter.Component) error {
	for _, p := range m.parts {
		if p.name != c.Name {
			continue
		}
		if err := adapter.SameStructure(m.component(p), c); err != nil {
			return fmt.Errorf("set component: %w", err)
		}
		if err := c.Check(); err != nil {
			return fmt.Errorf("set component: %w", err)
		}
		for i, t := range c.Tensors {
			copy(m.params[p.from+i].Data, t.Data)
		}
		return nil
	}
	return fmt.Errorf("set component: the model has no component %q: %w", c.Name, adapter.ErrStructure)
}
