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
func (e *Edge) Merge(round uint64, start *Aggregate, own Input, others []Input, modalities int) error {
	weigh := func(in Input) float64 { return e.cfg.weight(in, round, min(in.Round, round), modalities) }
	var mine []adapter.Component // they say what the structure is, as the cloud's own do in an aggregate
	for _, p := range own.Parts {
		c, err := p.Open(new(adapter.Decoder))
		if err != nil {
			return fmt.Errorf("merging after round %d: own delta: %w", round, err)
		}
		mine = append(mine, c)
	}
	averaged, _, _, err := aggregate(e.cfg.Rule, others, weigh, mine, weigh(own), e.share)
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
