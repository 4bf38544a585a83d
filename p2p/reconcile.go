package p2p

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

const (
	reconcileEvery   = 10 * time.Second // with one member at random
	reconcileTimeout = 5 * time.Minute  // of the exchanges with one peer; what is left comes after others had their turn
	reconcileRepeats = 4                // exchanges in a row with one peer, while they bring something
)

// reconcileWith asks for a sync with p soon. If many are waiting already, p has to wait for the periodic one.
func (n *Network) reconcileWith(p peer.ID) {
	select {
	case n.upkeep.ask <- p:
	default:
	}
}

// reconcileLoop runs record sync, one peer at a time: with new members, with whoever forwarded a record that shows a gap here, and
// periodically with any.
func (n *Network) reconcileLoop(ctx context.Context) error {
	ticker := time.NewTicker(reconcileEvery)
	defer ticker.Stop()
	for {
		var p peer.ID
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p = <-n.upkeep.ask:
		case <-ticker.C:
			members := n.inReach()
			if len(members) == 0 {
				continue
			}
			p = members[rand.IntN(len(members))]
		}
		n.reconcile(ctx, p, n.alsoAsked())
	}
}

// alsoAsked empties the queue, so that several wishes for one peer become one exchange.
func (n *Network) alsoAsked() map[peer.ID]struct{} {
	others := make(map[peer.ID]struct{})
	for {
		select {
		case p := <-n.upkeep.ask:
			others[p] = struct{}{}
		default:
			return others
		}
	}
}

func (n *Network) reconcile(ctx context.Context, p peer.ID, others map[peer.ID]struct{}) {
	delete(others, p)
	n.syncWith(ctx, p)
	for other := range others {
		n.syncWith(ctx, other)
	}
}

// syncWith exchanges with p until both have the same. A record can be refused in one exchange and accepted in the next, when the
// certificate of its author has arrived.
func (n *Network) syncWith(ctx context.Context, p peer.ID) {
	for range reconcileRepeats {
		if !n.gate.mutual(p) || n.conduct.isGray(p) {
			return
		}
		started := time.Now()
		exchange, cancel := context.WithTimeout(ctx, reconcileTimeout)
		result, err := n.sync.Sync(exchange, p)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				n.log.Debug("sync failed; another will follow", "peer", p, "err", err)
			}
			return
		}
		if result.Refused == 0 {
			n.synced.Store(true)
		}
		if result.Received+result.Sent+result.Refused > 0 {
			n.log.Debug("records synced", "peer", p, "sent", result.Sent, "received", result.Received,
				"refused", result.Refused, "took", time.Since(started))
		}
		if result.Refused == 0 || result.Received == 0 {
			return
		}
	}
}

// Synced tells whether this node, since New, has exchanged records with some member until neither had more for the other.
func (n *Network) Synced() bool { return n.synced.Load() }

// acceptSynced is acceptAll for the sync service, within what authors may have.
func (n *Network) acceptSynced(_ context.Context, from peer.ID, list []*record.Signed) []error {
	return n.acceptAll(list, from, func(r *record.Signed, waiting int) error {
		if r.Author == n.roster.founder {
			return nil
		}
		return n.conduct.room(r.Author, waiting)
	})
}

// damagedRecord counts a record from sync that does not open.
func (n *Network) damagedRecord(from peer.ID, err error) { n.reject(from, cid.Undef, "", err) }
