package method

import (
	"context"
	"fmt"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Components are a learner's components, for tests that look into it between rounds.
func (l *learner) Components() map[string]adapter.Component {
	all := map[string]adapter.Component{}
	for _, c := range l.model.Components() {
		all[c.Name] = c
	}
	return all
}

// Proxy are the components of the cloud's small model of the first family.
func (c *Cloud) Proxy() map[string]adapter.Component { return c.ProxyOf(0) }

// ProxyOf is Proxy of any family.
func (c *Cloud) ProxyOf(family int) map[string]adapter.Component {
	return c.proxies[family].Components()
}

// ComponentsOf are those of the model that e scores.
func ComponentsOf(e Evaluator) map[string]adapter.Component {
	if c, ok := e.(*Cloud); ok {
		return c.large.Components()
	}
	return e.(interface {
		Components() map[string]adapter.Component
	}).Components()
}

// InputOf is the input that a delta of components alone would be.
func InputOf(id string, d Delta) Input {
	d.Blobs = nil
	for _, c := range d.Components {
		d.Blobs = append(d.Blobs, Blob{Bytes: fmt.Append(nil, c)})
	}
	return d.Input(id)
}

// Rounds runs rounds of "mlecs" over learners that a test has made, and its end; with first 1 it starts with round 0.
func Rounds(ctx context.Context, cloud *Cloud, edges []*Edge, first, last uint64) (newest *Aggregate, err error) {
	adapt := func(ctx context.Context, e *Edge, last uint64, p Progress) error { return e.Adapt(ctx, last, p) }
	t := &together{cloud: cloud, edges: edges, finish: adapt}
	if first == 1 {
		first = 0
	}
	for round := first; round <= last; round++ {
		if newest, err = t.round(ctx, round, newTally(cloud.large.cfg, len(edges)), nil); err != nil {
			return nil, err
		}
	}
	return newest, t.Finish(ctx, last, nil)
}

// Forget drops what a coarse codec has lost.
func (e *Edge) Forget() { clear(e.outbox.lost) }
