package model

import (
	"fmt"
	"math"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/op"
)

// AdamW's constants, PyTorch's defaults.
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// update makes one AdamW step with gradients clipped to a global norm (0: not clipped). Parameters and grads go together.
// Matrices decay, vectors (biases and gains) do not. Gradients that are not finite change nothing and are an error.
func update(params []*parameter, grads [][]float32, objective Objective) error {
	op.EnterUpdate()
	updated := 0
	defer func() { op.LeaveUpdate(updated) }()
	norm := norm(grads)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return fmt.Errorf("the gradient is not finite: nothing was changed; check the inputs or lower the learning rate")
	}
	o := kernel.AdamW{LR: float32(objective.LR), Beta1: beta1, Beta2: beta2, Eps: epsilon, Scale: 1}
	if clip := objective.Clip; clip > 0 && norm > clip {
		o.Scale = float32(clip / norm)
	}
	for i, p := range params {
		p.steps++
		o.WeightDecay = 0
		if len(p.Shape) > 1 {
			o.WeightDecay = float32(objective.Decay)
		}
		updated += len(p.Data)
		o.Update(p.steps, p.Data, grads[i], p.mean, p.square)
	}
	return nil
}

// norm is the Euclidean norm of all gradients together. It is summed in float32 for short stretches and in float64 over them.
func norm(grads [][]float32) float64 {
	const stretch = 1 << 10
	var square float64
	for _, g := range grads {
		for len(g) > 0 {
			part := g[:min(len(g), stretch)]
			square += float64(kernel.Dot(part, part))
			g = g[len(part):]
		}
	}
	return math.Sqrt(square)
}
