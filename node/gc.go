package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// defaultKeepRounds keeps what late deltas may still refer to, and what a member needs to verify the last rounds.
const defaultKeepRounds = 8

// keepCheckpoints is for how many rounds checkpoints and supervision, which only matter for the last one, are kept.
const keepCheckpoints = 2

// wanted lists the blobs that the genesis, the newest rounds, and a delta that is yet to be published refer to.
func (v *view) wanted(rounds int) (map[cid.Cid]bool, error) {
	keep := map[cid.Cid]bool{}
	add := func(body []byte) error {
		links, err := record.Links(body)
		for _, id := range links {
			if id.Prefix().Codec == cid.Raw {
				keep[id] = true
			}
		}
		return err
	}
	books, err := v.books()
	if err != nil {
		return nil, err
	}
	oldest := books.nthNewest(rounds)
	recent := books.nthNewest(keepCheckpoints)
	for r, err := range v.store.Records("") {
		if err != nil {
			return nil, fmt.Errorf("read records: %w", err)
		}
		round := oldest // of kinds without rounds, which are always kept
		switch r.Kind {
		case record.KindDispute:
			continue // it names blobs of others
		case record.KindDelta:
			if b, err := record.BodyAs[record.Delta](r); err == nil {
				round = b.Round
			}
		case record.KindContribution:
			if b, err := record.BodyAs[record.Contribution](r); err == nil {
				round = b.Round
			}
		case record.KindAggregate:
			b, err := record.BodyAs[record.Aggregate](r)
			if err != nil {
				break
			}
			if round = b.Round; round >= oldest && round < recent {
				for _, c := range b.Components {
					keep[c.Blob.CID] = true
				}
				continue
			}
		}
		if round < oldest {
			continue
		}
		if err := add(r.Body); err != nil {
			return nil, fmt.Errorf("links of %s: %w", r.CID, err)
		}
	}
	var pending edgeState
	if ok, err := getJSON(v.store, keyEdge, &pending); err != nil {
		return nil, err
	} else if ok && len(pending.Delta) > 0 {
		if err := add(pending.Delta); err != nil {
			return nil, fmt.Errorf("links of the delta of round %d: %w", pending.Round, err)
		}
	}
	return keep, nil
}

// sweep removes the blobs that the newest rounds do not need; 0 rounds are those of the config. Records stay: they are small, and they are the
// history.
func (v *view) sweep(rounds int) (*api.Swept, error) {
	if rounds == 0 {
		rounds = v.genesis.keepRounds(v.recent, v.cfg)
	}
	switch {
	case rounds < 0:
		return nil, fmt.Errorf("collect garbage: %w: %d rounds cannot be kept", api.ErrBadRequest, rounds)
	case rounds == 0:
		return nil, api.Advise(fmt.Errorf("collect garbage: %w: this node keeps all rounds", api.ErrBadRequest), "say how many to keep with --keep-rounds")
	case v.genesis == nil:
		return nil, fmt.Errorf("collect garbage: %w", noFederation())
	}
	keep, err := v.wanted(rounds)
	if err != nil {
		return nil, fmt.Errorf("collect garbage: %w", err)
	}
	swept, err := v.store.Sweep(func(id cid.Cid) bool { return keep[id] })
	if err != nil {
		return nil, fmt.Errorf("collect garbage: %w", err)
	}
	return &api.Swept{KeepRounds: rounds, Removed: swept.Removed, Bytes: swept.Bytes, Kept: swept.Kept}, nil
}

// GC removes what the newest rounds do not need, on a running or a stopped node.
func (h *Home) GC(ctx context.Context, rounds int) (*api.Swept, error) {
	return administer(h, func(c *api.Client) (*api.Swept, error) { return c.GC(ctx, api.GCRequest{KeepRounds: rounds}) }, func(store *storage.Store) (*api.Swept, error) {
		v, err := h.stopped(store)
		if err != nil {
			return nil, err
		}
		return v.sweep(rounds)
	})
}

// stopped is the view of a home whose store is open here.
func (h *Home) stopped(store *storage.Store) (*view, error) {
	cfg, err := h.Config()
	if err != nil {
		return nil, err
	}
	v := &view{home: h, cfg: cfg}
	return v, v.open(store)
}

// GC removes what the newest rounds do not need. It waits until the learner stores nothing.
func (v *runningView) GC(_ context.Context, r api.GCRequest) (*api.Swept, error) {
	return v.node.sweep(r.KeepRounds)
}

func (n *Node) sweep(rounds int) (*api.Swept, error) {
	n.sweeping.Lock()
	defer n.sweeping.Unlock()
	n.storing.Lock()
	defer n.storing.Unlock()
	v := view{home: n.home, cfg: n.cfg, store: n.store, recent: n.ledger, full: n.ledger, member: n.member, genesis: n.genesis}
	return v.sweep(rounds)
}

// collectGarbage sweeps after each round, if the config says how many to keep, and notes for commands which aggregate is the newest.
func (n *Node) collectGarbage(ctx context.Context) error {
	var swept uint64
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	for {
		changed := n.ledger.next()
		n.makeRoom()
		n.tellStanding()
		a := n.ledger.newest(nil)
		n.noteStanding(a)
		if a != nil && n.genesis.keepRounds(n.ledger, n.cfg) > 0 && a.body.Round > swept {
			swept = a.body.Round
			got, err := n.sweep(0)
			if err != nil && !errors.Is(err, storage.ErrClosed) {
				n.log.Warn("garbage not collected", "err", err)
			} else if err == nil && got.Removed > 0 {
				n.log.Info("garbage collected", "blobs", got.Removed, "bytes", got.Bytes, "kept", got.Kept)
			}
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
