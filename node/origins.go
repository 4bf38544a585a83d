package node

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// origins find what the differences in deltas are to: the aggregate that an edge's round started from, or the components that a model
// begins with. Safe for concurrent use.
type origins struct {
	store   *storage.Store
	genesis *genesis
	ledger  *ledger
	fetch   func(ctx context.Context, blobs []record.Blob, author peer.ID) error

	mu      sync.Mutex
	started map[cid.Cid]adapter.Component           // by blob
	initial map[string]map[string]adapter.Component // by family and modalities
}

func newOrigins(store *storage.Store, g *genesis, l *ledger, fetch func(context.Context, []record.Blob, peer.ID) error) *origins {
	return &origins{store: store, genesis: g, ledger: l, fetch: fetch, started: map[cid.Cid]adapter.Component{}, initial: map[string]map[string]adapter.Component{}}
}

// reference is what component c of a delta is the difference to; nothing for codecs of whole values. An error that Is errNotFetched may
// pass.
func (o *origins) reference(ctx context.Context, d *deltaEntry, c record.Component) (adapter.Component, error) {
	if !adapter.OfDifferences(c.Codec) {
		return adapter.Component{}, nil
	}
	if len(d.Parents) == 0 {
		return adapter.Component{}, fmt.Errorf("%w: it names no aggregate that it started from", errBadBlob)
	}
	start := o.ledger.aggregate(d.Parents[0])
	if start == nil {
		return adapter.Component{}, fmt.Errorf("aggregate %s that it started from: %w", d.Parents[0], errNotFetched)
	}
	for _, part := range start.body.Components {
		if part.Name == c.Name && part.Signature == c.Signature {
			return o.aggregated(ctx, start, part.Component)
		}
	}
	return o.untrained(d, c)
}

// aggregated is a component of an aggregate.
func (o *origins) aggregated(ctx context.Context, a *aggregateEntry, c record.Component) (adapter.Component, error) {
	o.mu.Lock()
	known, ok := o.started[c.Blob.CID]
	o.mu.Unlock()
	if ok {
		return known, nil
	}
	if err := checkComponent(c, o.genesis.method.AggregateCodec); err != nil {
		return known, err
	}
	if err := o.fetch(ctx, []record.Blob{c.Blob}, a.Author); err != nil {
		return known, err
	}
	got, err := readComponent(o.store, c, adapter.Component{})
	if err != nil {
		return known, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.started[c.Blob.CID] = got
	return got, nil
}

// untrained is the component that a delta's model began with: that of the family, among those on its base, that has the signature.
func (o *origins) untrained(d *deltaEntry, c record.Component) (adapter.Component, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for family, base := range o.genesis.Bases.Edge {
		if base.Blob.CID != d.body.Base {
			continue
		}
		key := fmt.Sprint(family, " ", strings.Join(d.body.Modalities, " "))
		if o.initial[key] == nil {
			b, err := loadBase(o.store, base)
			if err != nil {
				return adapter.Component{}, err
			}
			_, shapes := o.genesis.specs(d.body.Modalities)
			if o.initial[key], err = method.Initial(o.genesis.method.Of(family), b, shapes); err != nil {
				return adapter.Component{}, fmt.Errorf("%w: %w", errBadBlob, err)
			}
		}
		if found, ok := o.initial[key][c.Name]; ok && found.Signature == c.Signature {
			return found, nil
		}
	}
	return adapter.Component{}, fmt.Errorf("%w: no model with its base and modalities %v has such a component", errBadBlob, d.body.Modalities)
}
