package p2p

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/mlecs/mlecs/storage/record"
)

const (
	placesWanted  = 2                // super-peers at which an edge keeps a place
	placesCheck   = 3 * time.Second  // how often the places are looked after
	placeTimeout  = 10 * time.Second // of one request
	placeRetry    = time.Minute      // after a refusal
	relaysTried   = 4                // of a member that cannot be dialled
	circuitsEach  = 64               // relayed connections of one member at a time
	circuitBuffer = 16 << 10         // bytes, each way
)

// places are the super-peers at which this node keeps a place (a circuit v2 reservation), so that members that cannot dial it reach it
// through them. Addresses of places are told to nobody: a place is found by rule. Both sides rank the super-peers by a hash with the
// member's id; the member keeps its places at the first ones in its reach, and others ask the first ones in theirs.
type places struct {
	mu   sync.Mutex
	ask  map[peer.ID]time.Time // when to ask for the place, or for another term of it
	ends map[peer.ID]time.Time // of the places given
}

func newPlaces() *places {
	return &places{ask: make(map[peer.ID]time.Time), ends: make(map[peer.ID]time.Time)}
}

func (p *places) note(relay peer.ID, ends, ask time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[relay], p.ask[relay] = ends, ask
}

// lost forgets a super-peer that is gone: it forgets the place with the connection.
func (p *places) lost(relay peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ask, relay)
	delete(p.ends, relay)
}

// due tells whether to ask relay for a place.
func (p *places) due(relay peer.ID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !now.Before(p.ask[relay])
}

// list are the super-peers that keep a place for this node.
func (p *places) list(now time.Time) []peer.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []peer.ID
	for id, ends := range p.ends {
		if now.Before(ends) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// relaysFor are the super-peers in reach, in the order in which the member p keeps places at them.
func (n *Network) relaysFor(p peer.ID) []peer.ID {
	var supers []peer.ID
	for _, id := range n.inReach() {
		if _, role := n.describe(id); role == record.RoleSuper && id != p {
			supers = append(supers, id)
		}
	}
	rank := func(super peer.ID) string {
		sum := sha256.Sum256([]byte("mlecs place " + string(p) + string(super)))
		return string(sum[:])
	}
	slices.SortFunc(supers, func(a, b peer.ID) int { return strings.Compare(rank(a), rank(b)) })
	return supers
}

// serveRelay lets a super-peer carry connections between members. They have no limit of time or bytes: to members they are like any
// other, and a limited one would carry no gossip.
func (n *Network) serveRelay(ctx context.Context) error {
	resources := relay.DefaultResources()
	resources.Limit = nil
	resources.MaxReservations = n.limits.Relayed
	resources.MaxReservationsPerIP = n.limits.Relayed // members are known by certificate; a household shares an address
	resources.MaxReservationsPerASN = n.limits.Relayed
	resources.MaxCircuits = circuitsEach
	resources.BufferSize = circuitBuffer
	r, err := relay.New(n.gated, relay.WithResources(resources), relay.WithACL(membersOnly{n.gate}))
	if err != nil {
		return fmt.Errorf("serve as relay: %w", err)
	}
	<-ctx.Done()
	r.Close()
	return ctx.Err()
}

// membersOnly is asked by the relay.
type membersOnly struct{ gate *gate }

func (m membersOnly) AllowReserve(p peer.ID, _ ma.Multiaddr) bool { return m.gate.proved(p) }

func (m membersOnly) AllowConnect(from peer.ID, _ ma.Multiaddr, to peer.ID) bool {
	return m.gate.proved(from) && m.gate.mutual(to)
}

// keepPlaces is an edge's side: it asks for places and renews them, unless others were seen to reach this node directly.
func (n *Network) keepPlaces(ctx context.Context) error {
	ticker := time.NewTicker(placesCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-n.upkeep.places:
		}
		if n.reach.public() {
			continue
		}
		supers := n.relaysFor(n.id)
		for _, p := range supers[:min(len(supers), placesWanted)] {
			if n.places.due(p, n.now()) {
				n.askForPlace(ctx, p)
			}
		}
	}
}

func (n *Network) askForPlace(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	place, err := client.Reserve(ctx, n.gated, peer.AddrInfo{ID: p})
	if err != nil {
		n.log.Debug("super-peer gives no place to be reached at", "peer", p, "err", err)
		n.places.note(p, time.Time{}, n.now().Add(placeRetry))
		return
	}
	left := place.Expiration.Sub(n.now())
	n.places.note(p, place.Expiration, n.now().Add(left*3/4))
	if !n.gate.mutual(p) { // gone meanwhile, and lost has been called
		n.places.lost(p)
		return
	}
	n.log.Debug("reachable through super-peer", "peer", p, "for", left)
}

// dialThrough connects to a member through super-peers in reach, one after the other.
func (n *Network) dialThrough(ctx context.Context, p peer.ID) error {
	relays := n.relaysFor(p)
	if len(relays) == 0 {
		return fmt.Errorf("no super-peer in reach to reach %s through", p)
	}
	var err error
	for _, r := range relays[:min(len(relays), relaysTried)] {
		circuit, bad := ma.NewMultiaddr("/p2p/" + r.String() + "/p2p-circuit")
		if bad != nil {
			return bad
		}
		// The swarm waits before it dials an address again that has failed; contacts decide when to.
		if s, ok := n.host.Network().(*swarm.Swarm); ok {
			s.Backoff().Clear(p)
		}
		attempt, cancel := context.WithTimeout(ctx, dialTimeout)
		err = n.host.Connect(attempt, peer.AddrInfo{ID: p, Addrs: []ma.Multiaddr{circuit}})
		cancel()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("through super-peers: %w", err)
}
