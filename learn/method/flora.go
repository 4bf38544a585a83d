package method

import (
	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// flora is FLoRA (arXiv 2409.05976): the server stacks the LoRA of all nodes, so that the product is the weighted mean of their
// updates without the error of averaging A and B, and sends the stack to all of them; every node adds it to the weights of its base model
// and starts its LoRA anew.
func flora(w World) scheme {
	return scheme{combine: func(a *averaging, x exchange) error {
		var cs []adapter.Contribution
		for i, s := range x.sources {
			lora := s.shared([]string{"lora"})
			if err := a.sends(s, lora, x.wire); err != nil {
				return err
			}
			cs = append(cs, adapter.Contribution{Component: lora[0], Weight: x.weights[i], Alpha: s.cfg.Spec.Alpha})
		}
		stack, err := adapter.FLoRA{Scaled: true}.Combine(cs)
		if err != nil {
			return err
		}
		base := x.receivers[0].base // one for the whole family, always
		// The stack is scaled already, which an alpha of its rank says.
		update, err := adapter.NewPEFT(stack, "", float64(stackedRank(stack)), 0)
		if err != nil {
			return err
		}
		merged, err := base.Merged(update)
		if err != nil {
			return err
		}
		for _, r := range x.receivers {
			if err := r.rebase(merged, deriveSeed(w.Config.Seed, "flora", x.round)); err != nil {
				return err
			}
		}
		return a.receives(x.receivers, []adapter.Component{stack}, x.wire)
	}}
}

// stackedRank is the rank of a LoRA's first pair.
func stackedRank(c adapter.Component) int {
	return c.Tensors[0].Shape[0] // lora_A comes first in name order
}

// rebase puts the worker's model on another base, with a fresh LoRA.
func (w *worker) rebase(base *model.Base, seed uint64) error {
	m, err := w.model.Rebase(base, seed)
	if err != nil {
		return err
	}
	w.base, w.model = base, m
	return nil
}
