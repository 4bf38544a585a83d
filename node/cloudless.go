package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// An edge that has had no super-peer in reach for a deadline goes on by itself (gossip learning): when the fresh deltas of a quorum of the
// edges on its base are there, or some after another deadline, it merges them with its own last one and trains the next round on
// the mean. What it merged is nobody's business: it publishes a delta as ever, whose parents tell what it was built on, the last aggregate
// first and then its own delta before and those that it merged. Whoever closes the next round counts the newest deltas of all edges, in
// which everything since is.

// carryOn does the next round without a super-peer if it is time to; it tells whether it did.
func (e *edge) carryOn(ctx context.Context) (trained bool, err error) {
	alone := time.Since(e.met) >= e.deadline()
	e.live.goAlone(alone)
	own := e.ledger.own(e.self, e.state.Round)
	if !alone || own == nil || e.last(e.state.Round) {
		return false, nil
	}
	fresh := e.ledger.fresh(own, e.mergeable)
	if !e.enough(fresh) {
		return false, nil
	}
	others, err := e.fetchAll(ctx, fresh)
	if err != nil {
		return false, err
	}
	fresh = slices.DeleteFunc(fresh, func(d *deltaEntry) bool { return others[d.cid] == nil })
	if !e.enough(fresh) {
		return false, nil
	}
	return true, e.merge(ctx, own, fresh, others)
}

// superInReach tells whether a super-peer is connected that this node has not found lying.
func (e *edge) superInReach() bool {
	return slices.ContainsFunc(e.network.Members(), func(m p2p.Member) bool {
		return m.Role == record.RoleSuper && m.Connected && !e.distrusts(m.ID)
	})
}

// mergeable tells whether a delta of another edge can be merged.
func (e *edge) mergeable(d *deltaEntry) bool {
	m, ok := e.network.Member(e.ledger.who(d.Author))
	return ok && m.Role == record.RoleEdge && d.body.Base == e.seat.base().Blob.CID && d.body.Rows > 0 && len(d.body.Components) > 0 && !e.useless[d.cid]
}

// enough tells whether these deltas and the edge's own are a quorum of the edges that are there, or it has waited for long enough.
func (e *edge) enough(fresh []*deltaEntry) bool {
	if len(fresh) == 0 {
		return false
	}
	there := map[peer.ID]bool{e.self: true}
	for _, edge := range e.liveEdges() {
		if e.pace.waitsFor(edge) && e.onBase(edge) {
			there[edge] = true
		}
	}
	for _, d := range fresh {
		there[e.ledger.who(d.Author)] = true
	}
	return 1+len(fresh) >= quorumOf(e.policy(), len(there)) || time.Since(e.waiting) >= e.deadline()
}

// onBase tells whether an edge may be on this one's base: of one that has published nothing it is not known.
func (e *edge) onBase(edge peer.ID) bool {
	d := e.ledger.lastOf(edge)
	return d == nil || d.body.Base == e.seat.base().Blob.CID
}

// fetchAll brings deltas and sees whether they can be decoded. One that is out of reach is left out, one that is of no use for good.
func (e *edge) fetchAll(ctx context.Context, deltas []*deltaEntry) (map[cid.Cid]*method.Input, error) {
	e.live.enter(phaseFetching)
	o := newOrigins(e.store, e.genesis, e.ledger, e.fetchBlobs)
	var mu sync.Mutex
	got := map[cid.Cid]*method.Input{}
	var g errgroup.Group
	g.SetLimit(parallelDeltas)
	for _, d := range deltas {
		g.Go(func() error {
			delta, err := e.fetchDelta(ctx, d, o)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got[d.cid] = delta
			case errors.Is(err, errBadBlob):
				e.useless[d.cid] = true
				e.live.rejectBlob()
				e.log.Warn("delta left out", "delta", d.cid, "author", d.Author, "err", err)
			default:
				e.log.Info("delta not fetched yet", "delta", d.cid, "err", err)
			}
			return ctx.Err()
		})
	}
	return got, g.Wait()
}

// merge takes over the mean of own and of others, and trains the next round on it. The round follows that which most of them have reached.
func (e *edge) merge(ctx context.Context, own *deltaEntry, fresh []*deltaEntry, others map[cid.Cid]*method.Input) error {
	start := e.ledger.aggregate(own.Parents[0])
	if start == nil {
		return fmt.Errorf("the aggregate %s that round %d began with is not known here", own.Parents[0], own.body.Round)
	}
	agg, err := e.fetchAggregate(ctx, start, e.fits)
	if err != nil {
		return fmt.Errorf("aggregate %s of round %d: %w", start.cid, start.body.Round, err)
	}
	mine, err := e.fetchDelta(ctx, own, newOrigins(e.store, e.genesis, e.ledger, e.fetchBlobs))
	if err != nil {
		return fmt.Errorf("own delta %s: %w", own.cid, err)
	}
	built := []cid.Cid{own.cid}
	rounds := []uint64{own.body.Round}
	list := make([]method.Input, 0, len(fresh))
	for _, d := range fresh {
		built, rounds, list = append(built, d.cid), append(rounds, d.body.Round), append(list, *others[d.cid])
	}
	reached := max(own.body.Round, mostReached(rounds))
	if last := e.policy().Rounds; last > 0 {
		reached = min(reached, last-1)
	}
	e.live.enter(phaseMerging)
	free := e.busy()
	err = e.model.Merge(reached, agg, *mine, list, len(e.genesis.Data.Modalities))
	free()
	if err != nil {
		return err
	}
	e.log.Info("no super-peer in reach: merged the deltas of other edges", "round", reached, "deltas", len(fresh))
	e.pace.close(reached, time.Now(), e.liveEdges())
	e.pace.open(reached+1, time.Now(), e.ledger.latest())
	return e.train(ctx, start, reached+1, built)
}
