package bench

import (
	"context"

	"github.com/mlecs/mlecs/learn/model"
)

// Step is the time of training steps: forward, backward, and AdamW on LoRA, encoder and connector.
type Step struct {
	Config string `json:"config"`
	Steps  int    `json:"steps"`
	Timing
	Machine
}

// MeasureStep makes n steps.
func MeasureStep(ctx context.Context, w Workload, n int) (Step, error) {
	m, err := w.model()
	if err != nil {
		return Step{}, err
	}
	batch := w.batch(w.Rows)
	objective := model.Objective{LM: 1, LR: 1e-4, Clip: 1}
	var seed uint64
	t, err := measure(ctx, n, func() error {
		seed++
		_, err := m.Step(batch, objective, seed)
		return err
	})
	return Step{Config: w.Name, Steps: n, Timing: t, Machine: machine()}, err
}
