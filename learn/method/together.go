package method

import (
	"context"
	"fmt"
)

// together is ML-ECS: a Cloud and its Edges, by the very steps that the daemon takes over a network.
type together struct {
	cloud  *Cloud
	edges  []*Edge
	finish func(ctx context.Context, e *Edge, last uint64, p Progress) error // an edge's part of Finish
}

// newTogether leaves it to the caller to set finish.
func newTogether(w World) (*together, error) {
	cloud, err := NewCloud(w.Config, w.Large, w.Small, w.Modalities, w.Public, w.Share, w.Stream)
	if err != nil {
		return nil, err
	}
	t := &together{cloud: cloud}
	for _, n := range w.Nodes {
		e, err := NewEdge(w.Config.Of(n.Family), w.Small[n.Family], n.Modalities, n.Private, w.publicFor(n), w.Share, n.Stream)
		if err != nil {
			return nil, err
		}
		t.edges = append(t.edges, e)
	}
	return t, nil
}

// Round runs one round and counts what it took.
func (t *together) Round(ctx context.Context, round uint64, p Progress) (Traffic, error) {
	wire := newTally(t.cloud.large.cfg, len(t.edges))
	_, err := t.round(ctx, round, wire, p)
	return wire.mean(), err
}

// round lets the edges learn, the cloud aggregate their deltas in the order of edges, and the edges absorb the result.
func (t *together) round(ctx context.Context, round uint64, wire *tally, p Progress) (*Aggregate, error) {
	var inputs []Input
	if round > 0 {
		for i, e := range t.edges {
			d, err := e.Round(ctx, round, p)
			if err != nil {
				return nil, fmt.Errorf("edge %d: %w", i, err)
			}
			wire.params += paramsOf(d.Components)
			for k, c := range d.Components {
				wire.up[c.Name] += int64(len(d.Blobs[k].Bytes))
			}
			inputs = append(inputs, d.Input(fmt.Sprintf("edge-%d/round-%d", i, round)))
		}
	}
	a, err := t.cloud.Round(ctx, round, inputs, p)
	if err != nil {
		return nil, fmt.Errorf("cloud: %w", err)
	}
	for i, e := range t.edges {
		if err := e.Absorb(a); err != nil {
			return nil, fmt.Errorf("edge %d: %w", i, err)
		}
		for _, c := range e.fitting(a) {
			wire.down[c.Component.Name] += int64(len(c.Blob.Bytes))
		}
		wire.down["supervision"] += int64(len(a.SupervisionBlob))
	}
	return a, nil
}

// Finish adapts every edge, which has absorbed the last aggregate.
func (t *together) Finish(ctx context.Context, last uint64, p Progress) error {
	for i, e := range t.edges {
		if err := t.finish(ctx, e, last, p); err != nil {
			return fmt.Errorf("edge %d: %w", i, err)
		}
	}
	return nil
}

// Edge is the model of node i.
func (t *together) Edge(i int) Evaluator { return t.edges[i] }

// Server is the cloud: the large model and the proxies, which answer together.
func (t *together) Server() Evaluator { return t.cloud }

// fitting are the components of a that e takes over.
func (e *Edge) fitting(a *Aggregate) []Averaged {
	own := map[string]string{}
	for _, c := range e.shared(e.share) {
		own[c.Name] = c.Signature
	}
	var out []Averaged
	for _, c := range a.Components {
		if own[c.Component.Name] == c.Component.Signature {
			out = append(out, c)
		}
	}
	return out
}
