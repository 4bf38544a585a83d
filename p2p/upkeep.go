package p2p

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

const (
	sweepEvery  = 250 * time.Millisecond
	tendEvery   = 3 * time.Second
	pingTimeout = 3 * time.Second
	maxSilent   = 3 // pings in a row
)

// upkeep is what wakes the loops that look after connections before their time.
type upkeep struct {
	sweep  chan struct{}
	places chan struct{}
	ask    chan peer.ID // members to reconcile with
}

func newUpkeep() upkeep {
	return upkeep{sweep: make(chan struct{}, 1), places: make(chan struct{}, 1), ask: make(chan peer.ID, 64)}
}

func (n *Network) sweepSoon() { wake(n.upkeep.sweep) }

// wake gives a loop a token, unless it has one.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sweepLoop disconnects whoever has no right to be connected: peers that stay silent, and members whose certificate has ended.
func (n *Network) sweepLoop(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	warned := false
	for {
		n.sweep()
		if _, err := n.roster.member(n.id); err != nil && !warned {
			warned = true
			if n.roster.handedOver(n.id) {
				n.log.Warn("this node is no longer a member", "reason", err)
			} else {
				n.log.Error("this node is no longer a member; ask the federation's founder for a new invite", "reason", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-n.upkeep.sweep:
		}
	}
}

func (n *Network) sweep() {
	for p, a := range n.gate.snapshot() {
		switch {
		case a.proved:
			if _, err := n.roster.member(p); err != nil {
				n.refuse(p, err)
			}
		case n.now().Sub(a.since) >= helloDeadline:
			n.refuse(p, fmt.Errorf("membership not proved within %s", helloDeadline))
		}
	}
}

// tendLoop looks after the members connected: it keeps their addresses, measures round trips, and announces them to gossip again,
// which has an effect only where gossip has given up on a peer after streams had failed several times. While members are missing, it
// asks for introductions.
func (n *Network) tendLoop(ctx context.Context) error {
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		for _, p := range n.inReach() {
			n.announce(p)
			n.contacts.met(p, n.host.Peerstore().Addrs(p))
			n.task(func(ctx context.Context) { n.measure(ctx, p) })
		}
		n.askAround(ctx)
	}
}

// askAround says hello once more to one member, for the sake of the introductions in its answer: two nodes that joined at the same
// moment were not introduced to each other.
func (n *Network) askAround(ctx context.Context) {
	reach := n.inReach()
	if len(reach) == 0 || len(reach) >= n.limits.Members || len(n.roster.members()) <= len(reach)+1 {
		return
	}
	p := reach[rand.IntN(len(reach))]
	if err := n.exchangeHello(ctx, p); err != nil {
		n.log.Debug("no introductions", "peer", p, "err", err)
	}
}

func (n *Network) measure(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if result, ok := <-ping.Ping(network.WithNoDial(ctx, "ping"), n.host, p); ok && result.Error == nil {
		n.gate.setRTT(p, result.RTT)
		return
	}
	// A QUIC connection to a process that was killed looks alive for half a minute; rounds wait for members in reach.
	if ctx.Err() != context.Canceled && n.gate.unanswered(p) >= maxSilent {
		n.log.Info("member does not answer", "peer", p)
		n.host.Network().ClosePeer(p)
	}
}
