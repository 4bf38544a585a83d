package method

import (
	"context"
	"fmt"
)

// Simulate runs the rounds of one cloud and its edges in memory, as the daemon does over a network: the cloud's round 0 teaches; in every
// round from first to last the edges absorb the newest aggregate and learn, and the cloud aggregates their deltas in the order of edges;
// at the end the edges absorb the last aggregate and adapt to it. With first 1 it starts with round 0; otherwise newest is the aggregate of round
// first-1. after, if not nil, is called after every round, the edges having absorbed its aggregate.
func Simulate(ctx context.Context, cloud *Cloud, edges []*Edge, first, last uint64, newest *Aggregate, after func(*Aggregate) error) (*Aggregate, error) {
	step := func(round uint64, inputs []Input) error {
		a, err := cloud.Round(ctx, round, inputs, nil)
		if err != nil {
			return fmt.Errorf("cloud: %w", err)
		}
		newest = a
		for i, e := range edges {
			if err := e.Absorb(a); err != nil {
				return fmt.Errorf("edge %d: %w", i, err)
			}
		}
		if after != nil {
			return after(a)
		}
		return nil
	}
	if first <= 1 {
		if err := step(0, nil); err != nil {
			return nil, err
		}
	}
	for round := max(first, 1); round <= last; round++ {
		inputs := make([]Input, len(edges))
		for i, e := range edges {
			d, err := e.Round(ctx, round, nil)
			if err != nil {
				return nil, fmt.Errorf("edge %d: %w", i, err)
			}
			inputs[i] = Input{ID: fmt.Sprintf("edge-%d/round-%d", i, round), Delta: *d}
		}
		if err := step(round, inputs); err != nil {
			return nil, err
		}
	}
	for i, e := range edges {
		if err := e.Adapt(ctx, last, nil); err != nil {
			return nil, fmt.Errorf("edge %d: %w", i, err)
		}
	}
	return newest, nil
}
