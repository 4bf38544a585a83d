package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

const (
	reconcileEvery   = 10 * time.Second       // with one member at random
	reconcileTimeout = 5 * time.Minute        // of the exchanges with one peer; what is left comes after others had their turn
	reconcileRepeats = 4                      // exchanges in a row with one peer, while they bring something
	reconcileAgain   = 100 * time.Millisecond // after an exchange that the peer had begun itself

	// While one peer brings records no other is asked, which would send the same ones. One that does not holds up nobody.
	reconcileAtOnce = 4
	reconcileStall  = 2 * time.Second
	reconcileLeast  = 16 // records that were not here, received in that time
)

// reconcileWith asks for a sync with p soon. If many are waiting already, p has to wait for the periodic one.
func (n *Network) reconcileWith(p peer.ID) {
	select {
	case n.upkeep.ask <- p:
	default:
	}
}

// reconcileLoop runs record sync: with new members, with whoever forwarded a record that shows a gap here, and periodically with any. Peers
// wait for their turn in the order in which they asked; it comes when the one before has ended, or is slow.
func (n *Network) reconcileLoop(ctx context.Context) error {
	every, stall := time.NewTicker(reconcileEvery), time.NewTicker(reconcileStall)
	defer every.Stop()
	defer stall.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	var waiting []peer.ID // each once
	busy, ended := make(map[peer.ID]bool), make(chan peer.ID, reconcileAtOnce)
	allowed, brought := 1, int64(0)
	for {
		for len(busy) < allowed {
			next := slices.IndexFunc(waiting, func(p peer.ID) bool { return !busy[p] })
			if next < 0 {
				break
			}
			p := waiting[next]
			waiting = slices.Delete(waiting, next, next+1)
			busy[p] = true
			running.Go(func() {
				n.syncWith(ctx, p)
				ended <- p
			})
		}
		var asked peer.ID
		select {
		case <-ctx.Done():
			return ctx.Err()
		case asked = <-n.upkeep.ask:
		case <-every.C:
			if members := n.inReach(); len(members) > 0 {
				asked = members[rand.IntN(len(members))]
			}
		case p := <-ended:
			if delete(busy, p); len(busy) == 0 {
				allowed = 1
			}
		case <-stall.C:
			before := brought
			if brought = n.sync.brought.Load(); len(busy) > 0 && brought-before < reconcileLeast {
				allowed = min(len(busy)+1, reconcileAtOnce)
			}
		}
		if asked != "" && !slices.Contains(waiting, asked) {
			waiting = append(waiting, asked)
		}
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
		if errors.Is(err, errSyncing) {
			// It may have begun before there was what this one is for.
			select {
			case <-ctx.Done():
				return
			case <-time.After(reconcileAgain):
			}
			continue
		}
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
		if r.Author == n.roster.founder || n.roster.news(r) {
			return nil
		}
		return n.conduct.room(r.Author, waiting)
	})
}

// damagedRecord counts a record from sync that does not open.
func (n *Network) damagedRecord(from peer.ID, err error) { n.reject(from, cid.Undef, "", err) }
