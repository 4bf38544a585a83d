package adapter

import (
	"errors"
	"fmt"
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
	total, err := sumWeights(weights)
	if err != nil {
		return Component{}, fmt.Errorf("averaging component %q: %w", cs[0].Name, err)
	}
	for i, c := range cs {
		if err := SameStructure(cs[0], c); err != nil {
			return Component{}, fmt.Errorf("averaging, input %d: %w", i, err)
		}
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

// Mean is WeightedMean as a Rule.
type Mean struct{}

// Name is "weighted-mean".
func (Mean) Name() string { return "weighted-mean" }

// Combine averages contributions of equal structure by their weights.
func (r Mean) Combine(cs []Contribution) (Component, error) {
	if err := alike(r, cs); err != nil {
		return Component{}, err
	}
	parts, weights := make([]Component, len(cs)), make([]float64, len(cs))
	for i, c := range cs {
		parts[i], weights[i] = c.Component, c.Weight
	}
	return WeightedMean(parts, weights)
}
