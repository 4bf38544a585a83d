package method

import (
	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// fedprox is fedavg-lora with a proximal term (FedProx, arXiv 1812.06127): in its round an edge's loss also holds Mu/2 times the squared
// distance of its LoRA from the one that it received.
func fedprox(World) scheme {
	return scheme{combine: averageOf("lora"), goal: func(e *worker, o *model.Objective) {
		if e.cfg.Mu > 0 {
			o.Penalty = proximal(e.cfg.Mu, e.shared([]string{"lora"}))
		}
	}}
}

// proximal is the gradient of mu/2 times the squared distance from components.
func proximal(mu float64, from []adapter.Component) func([]adapter.Tensor, [][]float32) {
	centre := map[string][]float32{}
	for _, c := range from {
		for _, t := range c.Tensors {
			centre[t.Name] = t.Data
		}
	}
	return func(weights []adapter.Tensor, gradients [][]float32) {
		for i, w := range weights {
			for j, x := range centre[w.Name] {
				gradients[i][j] += float32(mu) * (w.Data[j] - x)
			}
		}
	}
}
