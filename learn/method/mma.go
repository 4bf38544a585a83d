package method

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Rules by which MMA makes one component of several. By the first three it is a mean, and they say what an input weighs. By the others every
// input has one vote, and fewer than half of them, or at most a quarter, move no value beyond what the others say, however far off they are.
const (
	RuleModalityRows = "modality-rows" // its private rows times the share of all modalities that it has, |D_d| |M_d| / |M|: as in FedAvg and as in the paper
	RuleModalities   = "modalities"    // that share alone, |M_d| / |M|: the paper's
	RuleUniform      = "uniform"       // all inputs alike
	RuleMedian       = "median"        // of every value
	RuleTrimmedMean  = "trimmed-mean"  // of every value, without a quarter of the inputs at each end (Yin et al., ICML 2018)
)

// Rules lists them, the default first.
func Rules() []string {
	return []string{RuleModalityRows, RuleModalities, RuleUniform, RuleMedian, RuleTrimmedMean}
}

// cloudInput is the index that stands for the cloud's own contribution.
const cloudInput = -1

// inputWeight is what an input of some private rows and some of all modalities counts for by c's rule. Products of weights are converted,
// so that no compiler fuses them with a sum: they have the same bits on every machine.
func (c Config) inputWeight(rows, some, all int) float64 {
	coverage := min(float64(some)/float64(all), 1)
	switch c.MeanRule() {
	case RuleUniform, RuleMedian, RuleTrimmedMean:
		return 1
	case RuleModalities:
		return coverage
	}
	return float64(float64(max(rows, 0)) * coverage)
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
		share = float64(share * c.Stale)
	}
	return share
}

// weight is what an input of round trained counts for in a round, where the federation has a number of modalities. There is no half of a vote:
// by the rules that count votes a late delta has one until it is too late.
func (c Config) weight(in Input, round, trained uint64, modalities int) float64 {
	w := float64(c.inputWeight(in.Rows, len(in.Modalities), modalities) * c.freshness(round, trained))
	if w > 0 && votes(c.Rule) {
		return 1
	}
	return w
}

// Mean is MMA as a super-peer does it in a round: components, encoded, and weights of the aggregate of inputs and of what the cloud itself
// has (own, learned from ownRows public rows), and how many components were of no use. modalities is how many the federation has, share its policy.
// Whoever has the same inputs, in any order, and own in the same one, gets the same bits; the components of one name and signature alone
// give that part of the aggregate.
func Mean(cfg Config, round uint64, inputs []Input, own []adapter.Component, ownRows, modalities int, share []string) (averaged []Averaged, weights []float64, rejected int, err error) {
	weigh := func(in Input) float64 { return cfg.weight(in, round, in.Round, modalities) }
	ownWeight := float64(cfg.ProxyWeight * cfg.inputWeight(ownRows, modalities, modalities))
	averaged, weights, rejected, err = aggregate(cfg.Rule, inputs, weigh, own, ownWeight, share)
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
// from the same rows. Parts whose kind is not in share, that are unusable, or that have
// another structure than their signature says are left out and counted as rejected. The first of a signature, or the cloud's own if
// there is one, says what the structure is. Averaged components come in order of name and signature; weights holds the weight of each
// input as a whole.
func aggregate(rule string, inputs []Input, weigh func(Input) float64, mine []adapter.Component, ownWeight float64, share []string) (out []Averaged, weights []float64, rejected int, err error) {
	type key struct{ name, signature string }
	groups := map[key]*group{}
	of := func(name, signature string) *group {
		k := key{name, signature}
		if groups[k] == nil {
			groups[k] = &group{}
		}
		return groups[k]
	}
	for _, c := range mine {
		g := of(c.Name, c.Signature)
		g.own = append(g.own, c)
	}
	each := make([]float64, len(inputs))
	for i, in := range inputs {
		each[i] = weigh(in)
		seen := map[string]bool{}
		for _, p := range in.Parts {
			if each[i] <= 0 || seen[p.Name] || !slices.Contains(share, adapter.Kind(p.Name)) {
				rejected++
				continue
			}
			seen[p.Name] = true
			g := of(p.Name, p.Signature)
			g.parts = append(g.parts, part{p, i, in.ID, each[i]})
		}
	}
	weights = make([]float64, len(inputs))
	var mean adapter.RunningMean // one after the other in the same memory
	for _, k := range slices.SortedFunc(maps.Keys(groups), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.signature, b.signature))
	}) {
		combine := func() (Averaged, int, error) { return groups[k].average(&mean, ownWeight) }
		if votes(rule) {
			combine = func() (Averaged, int, error) { return groups[k].vote(rule, ownWeight) }
		}
		a, misfits, err := combine()
		if err != nil {
			return nil, nil, rejected, fmt.Errorf("aggregating component %s: %w", k.name, err)
		}
		rejected += misfits
		if len(a.Inputs) == 0 {
			continue
		}
		out = append(out, a)
		for _, i := range a.Inputs {
			if i != cloudInput {
				weights[i] = each[i]
			}
		}
	}
	var total float64
	for _, w := range weights {
		total += w
	}
	for i := range weights {
		if total > 0 {
			weights[i] /= total
		}
	}
	return out, weights, rejected, nil
}

// group is all that there is of a component.
type group struct {
	parts []part
	own   []adapter.Component // the cloud's
}

// part is a part of an input with what it counts for.
type part struct {
	Part
	input  int
	id     string
	weight float64
}

// sort puts parts in the order of their digests: it is known before any part is read, and depends on what is aggregated and not on who
// sent it, so that equal seeds give equal bits whatever keys the nodes have.
func (g *group) sort() {
	slices.SortFunc(g.parts, func(a, b part) int {
		return cmp.Or(bytes.Compare(a.Digest[:], b.Digest[:]), cmp.Compare(a.weight, b.weight), strings.Compare(a.id, b.id))
	})
}

// average is the weighted mean of a group, with weights that sum to 1, and how many of its parts were of no use; if all were, there are no
// inputs. The sum is in the order of sort, the cloud's own last. mean is for its use.
func (g *group) average(mean *adapter.RunningMean, ownWeight float64) (a Averaged, misfits int, err error) {
	g.sort()
	mean.Reset()
	if len(g.own) > 0 {
		mean.Expect(g.own[0])
	}
	sources := make([]adapter.Source, len(g.parts))
	for i, p := range g.parts {
		sources[i] = adapter.Source{Weight: p.weight, Open: p.Open}
	}
	left, err := mean.AddAll(sources)
	if err != nil {
		return a, 0, err
	}
	var total float64
	for i, p := range g.parts {
		if !slices.Contains(left, i) {
			a.Inputs, a.Weights = append(a.Inputs, p.input), append(a.Weights, p.weight)
			total += p.weight
		}
	}
	if ownWeight > 0 || len(a.Inputs) == 0 {
		weight := ownWeight
		if weight <= 0 {
			weight = 1 // where it is alone
		}
		weight /= float64(len(g.own))
		for _, c := range g.own {
			if err := mean.Add(c, weight); err != nil {
				return a, 0, err
			}
			a.Inputs, a.Weights = append(a.Inputs, cloudInput), append(a.Weights, weight)
			total += weight
		}
	}
	if len(a.Inputs) == 0 {
		return a, len(left), nil
	}
	for i := range a.Weights {
		a.Weights[i] /= total
	}
	a.Component, err = mean.Mean()
	return a, len(left), err
}
