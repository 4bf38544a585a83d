package method

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Rules by which MMA weighs an input.
const (
	RuleModalityRows = "modality-rows" // its private rows times the share of all modalities that it has, |D_d| |M_d| / |M|: as in FedAvg and as in the paper
	RuleModalities   = "modalities"    // that share alone, |M_d| / |M|: the paper's
	RuleUniform      = "uniform"       // all inputs alike
)

// cloudInput is the index that stands for the cloud's own contribution.
const cloudInput = -1

// part is one input's version of a component.
type part struct {
	input     int
	weight    float64
	component adapter.Component
}

// inputWeight is what an input of some private rows and some of all modalities counts for by c's rule.
func (c Config) inputWeight(rows, some, all int) float64 {
	coverage := min(float64(some)/float64(all), 1)
	switch c.MeanRule() {
	case RuleUniform:
		return 1
	case RuleModalities:
		return coverage
	}
	return float64(max(rows, 0)) * coverage
}

// MeanRule is Rule, or what it means if it is empty.
func (c Config) MeanRule() string { return cmp.Or(c.Rule, RuleModalityRows) }

// MaxAge is how many rounds late a delta may come and still count.
const MaxAge = 4

// freshness is what a delta of round trained counts for in a round: 1 if it is that round's, Stale for every round that it is late, and
// nothing beyond MaxAge.
func (c Config) freshness(round, trained uint64) float64 {
	if trained > round || round-trained > MaxAge {
		return 0
	}
	share := 1.0
	for range round - trained {
		share *= c.Stale
	}
	return share
}

// Mean is MMA as a super-peer does it in a round: components, encoded, and weights of the aggregate of inputs and of what the cloud itself
// has (own, learned from ownRows public rows), and how many components were of no use. modalities is how many the federation has, share its policy.
// Whoever has the same inputs, in any order, and own in the same one, gets the same bits; the components of one name and signature alone
// give that part of the aggregate.
func Mean(cfg Config, round uint64, inputs []Input, own []adapter.Component, ownRows, modalities int, share []string) (averaged []Averaged, weights []float64, rejected int, err error) {
	weigh := func(d Delta) float64 {
		return cfg.inputWeight(d.Rows, len(d.Modalities), modalities) * cfg.freshness(round, d.Round)
	}
	ownWeight := cfg.ProxyWeight * cfg.inputWeight(ownRows, modalities, modalities)
	averaged, weights, rejected, err = aggregate(inputs, weigh, own, ownWeight, share)
	if err != nil {
		return nil, nil, rejected, err
	}
	for i, x := range averaged {
		averaged[i].Rule = cfg.MeanRule()
		if averaged[i].Component, averaged[i].Blob, err = encodeAggregate(cfg.AggregateCodec, x.Component); err != nil {
			return nil, nil, rejected, err
		}
	}
	return averaged, weights, rejected, nil
}

// aggregate is MMA: every component is averaged, by weigh, over the inputs whose name and signature are equal, and over the
// cloud's own (index -1), which come last. ownWeight is that of all the cloud's own of one name and signature: its models have learned
// from the same rows. Components whose kind is not in share, that are not finite, or that have
// another structure than their signature says are left out and counted as rejected. The first of a signature, or the cloud's own if
// there is one, says what the structure is. Averaged components come in order of name and signature; weights holds the weight of each
// input as a whole.
func aggregate(inputs []Input, weigh func(Delta) float64, mine []adapter.Component, ownWeight float64, share []string) (out []Averaged, weights []float64, rejected int, err error) {
	type key struct{ name, signature string }
	groups := map[key][]part{}
	structure := map[key]adapter.Component{}
	own := map[key][]part{}
	for _, c := range mine {
		k := key{c.Name, c.Signature}
		structure[k] = c
		weight := ownWeight
		if weight <= 0 {
			weight = 1 // where it is alone
		}
		own[k] = append(own[k], part{cloudInput, weight, c})
	}
	weights = make([]float64, len(inputs))
	var total float64
	for i, in := range inputs {
		w, used := weigh(in.Delta), false
		seen := map[string]bool{}
		for _, c := range in.Delta.Components {
			k := key{c.Name, c.Signature}
			form, known := structure[k]
			if !known {
				form = c
			}
			if w <= 0 || seen[c.Name] || !slices.Contains(share, adapter.Kind(c.Name)) || c.Check() != nil || adapter.SameStructure(form, c) != nil {
				rejected++
				continue
			}
			seen[c.Name], used = true, true
			structure[k] = form
			groups[k] = append(groups[k], part{i, w, c})
		}
		if used {
			weights[i] = w
			total += w
		}
	}
	for i := range weights {
		if total > 0 {
			weights[i] /= total
		}
	}
	for k, parts := range own {
		if ownWeight > 0 || len(groups[k]) == 0 {
			for _, p := range parts {
				p.weight /= float64(len(parts))
				groups[k] = append(groups[k], p)
			}
		}
	}
	for _, parts := range groups {
		a, err := average(parts)
		if err != nil {
			return nil, nil, rejected, fmt.Errorf("aggregating: %w", err)
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Averaged) int {
		return cmp.Or(cmp.Compare(a.Component.Name, b.Component.Name), cmp.Compare(a.Component.Signature, b.Component.Signature))
	})
	return out, weights, rejected, nil
}

// average is the weighted mean of one group, with weights that sum to 1. The order of the sum is that of the tensors' values, the cloud's
// own last: it depends on what is averaged, and not on who sent it, so that equal seeds give equal bits whatever keys the nodes have.
func average(parts []part) (Averaged, error) {
	slices.SortStableFunc(parts, func(a, b part) int {
		if a.input == cloudInput || b.input == cloudInput {
			return cmp.Compare(b.input, a.input)
		}
		return compareValues(a.component, b.component)
	})
	var total float64
	for _, p := range parts {
		total += p.weight
	}
	var a Averaged
	var components []adapter.Component
	for _, p := range parts {
		components = append(components, p.component)
		a.Inputs = append(a.Inputs, p.input)
		a.Weights = append(a.Weights, p.weight/total)
	}
	var err error
	a.Component, err = adapter.WeightedMean(components, a.Weights)
	return a, err
}

// compareValues orders two components of one structure by the first value in which they differ.
func compareValues(a, b adapter.Component) int {
	for i := range a.Tensors {
		if c := slices.Compare(a.Tensors[i].Data, b.Tensors[i].Data); c != 0 {
			return c
		}
	}
	return 0
}
