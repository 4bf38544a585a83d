package method

import (
	"errors"

	"github.com/mlecs/mlecs/learn/adapter"
)

// votes tells whether every input has one vote by a rule.
func votes(rule string) bool { return rule == RuleMedian || rule == RuleTrimmedMean }

// trimmedPart of the votes is left out at each end by RuleTrimmedMean.
const trimmedPart = 4

// voting is the rule for n votes.
func voting(rule string, n int) adapter.Rule {
	if rule == RuleTrimmedMean {
		return adapter.TrimmedMean{Trim: n / trimmedPart}
	}
	return adapter.Median{}
}

// vote is average by a rule that counts votes: all that is usable of the parts has one, and what the cloud itself has, if ownWeight is
// above 0 or nobody else has any, one together. Memory holds all of them at a time, for every value is compared with every other.
func (g *group) vote(rule string, ownWeight float64) (a Averaged, misfits int, err error) {
	g.sort()
	var own []adapter.Contribution
	if len(g.own) > 0 {
		equal := make([]float64, len(g.own))
		for i := range equal {
			equal[i] = 1
		}
		c, err := adapter.WeightedMean(g.own, equal)
		if err != nil {
			return a, 0, err
		}
		own = append(own, adapter.Contribution{Component: c})
	}
	like := own
	var cast []adapter.Contribution
	for _, p := range g.parts {
		c, err := p.Open(new(adapter.Decoder))
		if err != nil && !errors.Is(err, adapter.ErrUnusable) {
			return a, 0, err
		}
		if err != nil || c.Check() != nil || len(like) > 0 && adapter.SameStructure(like[0].Component, c) != nil {
			misfits++
			continue
		}
		cast = append(cast, adapter.Contribution{Component: c})
		if len(like) == 0 {
			like = cast
		}
		a.Inputs, a.Weights = append(a.Inputs, p.input), append(a.Weights, 1)
	}
	if len(own) > 0 && (ownWeight > 0 || len(cast) == 0) {
		cast = append(cast, own...)
		for range g.own {
			a.Inputs, a.Weights = append(a.Inputs, cloudInput), append(a.Weights, 1/float64(len(g.own)))
		}
	}
	if len(cast) == 0 {
		return a, misfits, nil
	}
	for i := range a.Weights {
		a.Weights[i] /= float64(len(cast))
	}
	a.Component, err = voting(rule, len(cast)).Combine(cast)
	return a, misfits, err
}
