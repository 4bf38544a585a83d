package model

import "fmt"

// Rebase is m on another base of the same architecture, with a fresh LoRA that a seed gives. Encoders and connector go on where they are,
// with the state of their optimiser. m stays as it is.
func (m *Model) Rebase(base *Base, seed uint64) (*Model, error) {
	if base.Config != m.base.Config {
		return nil, fmt.Errorf("rebase: the base is a %+v, the model's a %+v", base.Config, m.base.Config)
	}
	out, err := New(base, m.spec, seed)
	if err != nil {
		return nil, fmt.Errorf("rebase: %w", err)
	}
	for _, part := range out.parts {
		if part.name == "lora" {
			continue
		}
		for i := part.from; i < part.to; i++ {
			to, from := out.params[i], m.params[i]
			copy(to.Data, from.Data)
			copy(to.mean, from.mean)
			copy(to.square, from.square)
			to.steps = from.steps
		}
	}
	return out, nil
}
