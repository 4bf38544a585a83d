package method

import (
	"fmt"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Merge is gossip learning, for edges that no super-peer is in reach of: the edge takes over the mean of its own last delta and of those of
// others on its base, by the federation's rule, as in an aggregate of round without a super-peer's part. A delta of a later round counts as
// one of round. Components that no other edge has stay as they are, and so does the supervision. modalities is how many the federation has.
//
// start is the aggregate that the edge absorbed last: the differences in its next delta are to that one still, so that a receiver needs no
// other. The next Round makes that delta. On an error nothing has changed.
func (e *Edge) Merge(round uint64, start *Aggregate, own Delta, others []Delta, modalities int) error {
	weigh := func(d Delta) float64 {
		return e.cfg.inputWeight(d.Rows, len(d.Modalities), modalities) * e.cfg.freshness(round, min(d.Round, round))
	}
	inputs := []Input{{Delta: own}}
	for _, d := range others {
		inputs = append(inputs, Input{Delta: d})
	}
	averaged, _, _, err := aggregate(inputs, weigh, nil, 0, e.share)
	if err != nil {
		return fmt.Errorf("merging after round %d: %w", round, err)
	}
	var mean []adapter.Component
	for _, a := range averaged {
		if len(a.Inputs) > 1 {
			mean = append(mean, a.Component)
		}
	}
	adopted, err := e.adopt(mean)
	if err != nil {
		return fmt.Errorf("merging after round %d: %w", round, err)
	}
	e.outbox.merged(adopted)
	e.origin = map[string]adapter.Component{}
	for _, a := range start.Components {
		if e.Has(a.Component.Name, a.Component.Signature) {
			e.origin[a.Component.Name] = a.Component
		}
	}
	return nil
}
