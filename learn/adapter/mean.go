package adapter

import (
	"errors"
	"fmt"
	"math"
)

// WeightedMean averages components of equal structure: sum(w x) / sum(w), element by element, in float64 and in the order given.
// Weights are finite and not negative, with a positive sum that need not be 1. The same inputs give the same bits on every CPU, so that
// anyone who holds them can recompute an aggregate and compare: the explicit conversions forbid the compiler to fuse a product and a sum.
func WeightedMean(cs []Component, weights []float64) (Component, error) {
	if len(cs) == 0 {
		return Component{}, errors.New("averaging: no components")
	}
	if len(cs) != len(weights) {
		return Component{}, fmt.Errorf("averaging component %q: %d components but %d weights", cs[0].Name, len(cs), len(weights))
	}
	var total float64
	for i, w := range weights {
		if !(w >= 0) || math.IsInf(w, 0) {
			return Component{}, fmt.Errorf("averaging component %q: weight %d is %v", cs[0].Name, i, w)
		}
		total += w
		if err := SameStructure(cs[0], cs[i]); err != nil {
			return Component{}, fmt.Errorf("averaging, input %d: %w", i, err)
		}
	}
	if !(total > 0) || math.IsInf(total, 0) {
		return Component{}, fmt.Errorf("averaging component %q: the weights sum to %v", cs[0].Name, total)
	}
	mean := cs[0].Clone()
	for t := range mean.Tensors {
		out := mean.Tensors[t].Data
		sums := make([]float64, len(out))
		for i, c := range cs {
			w := weights[i]
			for j, x := range c.Tensors[t].Data {
				sums[j] += float64(w * float64(x))
			}
		}
		for j, s := range sums {
			out[j] = float32(s / total)
		}
	}
	return mean, nil
}
