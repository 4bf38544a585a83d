package p2p

import (
	"context"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
)

// Reach is what is known of how other nodes get to this one.
type Reach struct {
	Reachable   []string // public addresses that a super-peer has dialled back
	Unreachable []string // ... and could not
	Places      []string // circuit addresses through super-peers
	NAT         string   // kind of the router in front: "", easy (hole punching works), hard
}

// reach collects what AutoNAT and address observation find out. Safe for concurrent use.
type reach struct {
	mu  sync.Mutex
	now Reach
	nat map[network.NATTransportProtocol]network.NATDeviceType // as last seen
}

// public tells whether members from anywhere can dial this node.
func (r *reach) public() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.now.Reachable) > 0
}

func (r *reach) addresses(reachable, unreachable []ma.Multiaddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Reachable, r.now.Unreachable = texts(reachable), texts(unreachable)
}

// router notes what kind of NAT is in front, by the harder of what is seen for TCP and UDP.
func (r *reach) router(e event.EvtNATDeviceTypeChanged) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nat == nil {
		r.nat = make(map[network.NATTransportProtocol]network.NATDeviceType)
	}
	r.nat[e.TransportProtocol] = e.NatDeviceType
	r.now.NAT = ""
	for _, kind := range r.nat {
		switch {
		case kind == network.NATDeviceTypeEndpointDependent:
			r.now.NAT = "hard"
		case kind == network.NATDeviceTypeEndpointIndependent && r.now.NAT == "":
			r.now.NAT = "easy"
		}
	}
}

// Reach tells how others get to this node, as far as it is known.
func (n *Network) Reach() Reach {
	n.reach.mu.Lock()
	now := n.reach.now
	n.reach.mu.Unlock()
	for _, p := range n.places.list(n.now()) {
		now.Places = append(now.Places, "/p2p/"+p.String()+"/p2p-circuit/p2p/"+n.id.String())
	}
	return now
}

// watchReach follows libp2p's events about this node's addresses.
func (n *Network) watchReach(ctx context.Context) error {
	sub, err := n.host.EventBus().Subscribe([]any{new(event.EvtHostReachableAddrsChanged), new(event.EvtNATDeviceTypeChanged)}, eventbus.Name("mlecs reach"))
	if err != nil {
		return fmt.Errorf("watch reachability: %w", err)
	}
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-sub.Out():
			switch e := e.(type) {
			case event.EvtHostReachableAddrsChanged:
				n.reach.addresses(e.Reachable, e.Unreachable)
				n.log.Debug("reachability", "reachable", e.Reachable, "unreachable", e.Unreachable)
			case event.EvtNATDeviceTypeChanged:
				n.reach.router(e)
			}
		}
	}
}

func texts(addrs []ma.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
