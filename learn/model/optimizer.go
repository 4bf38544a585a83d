package model

import (
	"fmt"
	"math"

	"github.com/mlecs/mlecs/learn/kernel"
)

// AdamW's constants, PyTorch's defaults.
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// update makes one AdamW step with gradients clipped to a global norm (0: not clipped). Parameters and grads go together.
// Matrices decay, vectors (biases and gains) do not. Gradients that are not finite change nothing and are an error.
func update(params []*parameter, grads [][]float32, lr, decay, clip float64) error {
	var square float64
	for _, g := range grads {
		for _, v := range g {
			square += float64(v) * float64(v)
		}
	}
	norm := math.Sqrt(square)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return fmt.Errorf("the gradient is not finite: nothing was changed; check the inputs or lower the learning rate")
	}
	if clip > 0 && norm > clip {
		for _, g := range grads {
			kernel.Scale(float32(clip/norm), g)
		}
	}
	for i, p := range params {
		p.steps++
		o := kernel.AdamW{LR: float32(lr), Beta1: beta1, Beta2: beta2, Eps: epsilon}
		if len(p.Shape) > 1 {
			o.WeightDecay = float32(decay)
		}
		o.Update(p.steps, p.Data, grads[i], p.mean, p.square)
	}
	return nil
}
