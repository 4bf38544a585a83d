package adapter

import (
	"errors"
	"fmt"
	"math"
)

// Contribution is one node's version of a component, as a Rule takes it.
type Contribution struct {
	Component Component
	Weight    float64 // finite and not negative; only ratios between contributions matter
	Alpha     float64 // lora_alpha, for the rules that scale by alpha/r; others ignore it
}

// Rule combines the versions of one component that several nodes have into one. The same contributions in the same order give the same
// bits on every CPU. A rule never changes its inputs, refuses values that are not finite, and names the component and tensor that do
// not fit; where structures differ the error wraps ErrStructure.
//
// Rules on LoRA pairs take tensors named MODULE.lora_A.weight [r, in] and MODULE.lora_B.weight [out, r]. Those that allow ranks to
// differ between nodes give a result whose signature is that of the contributions with the same shapes, and Signature of the tensors
// alone if there are none.
type Rule interface {
	// Name is what settings and records call the rule, with its parameters: "median", "trimmed-mean(1)".
	Name() string
	Combine(cs []Contribution) (Component, error)
}

// usable tells what is wrong with contributions, whatever the rule.
func usable(r Rule, cs []Contribution) error {
	if len(cs) == 0 {
		return fmt.Errorf("%s: no contributions", r.Name())
	}
	for i, c := range cs {
		if err := c.Component.Check(); err != nil {
			return fmt.Errorf("%s, contribution %d: %w", r.Name(), i, err)
		}
		if len(c.Component.Tensors) == 0 {
			return fmt.Errorf("%s, contribution %d: component %q has no tensors", r.Name(), i, c.Component.Name)
		}
	}
	return nil
}

// alike also wants equal structures.
func alike(r Rule, cs []Contribution) error {
	if err := usable(r, cs); err != nil {
		return err
	}
	for i, c := range cs {
		if err := SameStructure(cs[0].Component, c.Component); err != nil {
			return fmt.Errorf("%s, contribution %d: %w", r.Name(), i, err)
		}
	}
	return nil
}

// shares are the weights of cs, divided by their sum.
func shares(r Rule, cs []Contribution) ([]float64, error) {
	weights := make([]float64, len(cs))
	for i, c := range cs {
		weights[i] = c.Weight
	}
	total, err := sumWeights(weights)
	if err != nil {
		return nil, fmt.Errorf("%s of component %q: %w", r.Name(), cs[0].Component.Name, err)
	}
	for i := range weights {
		weights[i] /= total
	}
	return weights, nil
}

// sumWeights adds weights up, and refuses those that no mean can have.
func sumWeights(weights []float64) (float64, error) {
	var total float64
	for i, w := range weights {
		if !(w >= 0) || math.IsInf(w, 0) {
			return 0, fmt.Errorf("weight %d is %v", i, w)
		}
		total += w
	}
	if !(total > 0) || math.IsInf(total, 0) {
		return 0, fmt.Errorf("the weights sum to %v", total)
	}
	return total, nil
}

// scales are alpha/r of every contribution's pair of one module.
func scales(r Rule, cs []Contribution, versions []pair) ([]float64, error) {
	out := make([]float64, len(cs))
	for i, c := range cs {
		if !(c.Alpha > 0) || math.IsInf(c.Alpha, 0) {
			return nil, fmt.Errorf("%s, contribution %d: component %q: alpha is %v, want more than 0", r.Name(), i, c.Component.Name, c.Alpha)
		}
		out[i] = c.Alpha / float64(versions[i].rank)
	}
	return out, nil
}

// errTooFew is wrapped by the errors of robust rules that cannot bear the faults they are set to with so few contributions.
var errTooFew = errors.New("too few contributions")
