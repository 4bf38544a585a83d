package adapter

import (
	"errors"
	"fmt"
)

// WeightedMean averages components of equal structure: sum(w x) / sum(w), element by element, in float64 and in the order given.
// Weights are finite and not negative, with a positive sum that need not be 1. The same inputs give the same bits on every CPU, so that
// anyone who holds them can recompute an aggregate and compare.
func WeightedMean(cs []Component, weights []float64) (Component, error) {
	if len(cs) == 0 {
		return Component{}, errors.New("averaging: no components")
	}
	if len(cs) != len(weights) {
		return Component{}, fmt.Errorf("averaging component %q: %d components but %d weights", cs[0].Name, len(cs), len(weights))
	}
	if _, err := sumWeights(weights); err != nil {
		return Component{}, fmt.Errorf("averaging component %q: %w", cs[0].Name, err)
	}
	var mean RunningMean
	mean.Expect(cs[0])
	for i, c := range cs {
		if err := mean.fits(c); err != nil {
			return Component{}, fmt.Errorf("averaging, input %d: %w", i, err)
		}
	}
	mean.add(cs, weights)
	return mean.Mean()
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
