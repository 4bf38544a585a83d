package p2p

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	maxDials      = 4 // at a time
	dialTimeout   = 10 * time.Second
	dialCheck     = 250 * time.Millisecond
	maxIntroduced = maxHelloPeers
)

// dialLoop keeps this node connected to members, as long as it knows of any to dial.
func (n *Network) dialLoop(ctx context.Context) error {
	ticker := time.NewTicker(dialCheck)
	defer ticker.Stop()
	slots := make(chan struct{}, maxDials)
	for {
		n.dialDue(slots)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-n.contacts.wake:
		}
	}
}

func (n *Network) dialDue(slots chan struct{}) {
	free := min(cap(slots)-len(slots), n.limits.Members-len(n.inReach()))
	if free <= 0 {
		return
	}
	skip := func(p peer.ID) bool {
		return n.host.Network().Connectedness(p) == network.Connected || n.roster.former(p) || !n.blocked.allows(p)
	}
	for _, info := range n.contacts.take(free, skip) {
		slots <- struct{}{} // never blocks: only this goroutine fills slots
		n.task(func(ctx context.Context) {
			defer func() { <-slots }()
			n.dial(ctx, info)
		})
	}
}

func (n *Network) dial(ctx context.Context, info peer.AddrInfo) {
	err := n.dialDirectly(ctx, info)
	if err != nil && n.relay {
		if through := n.dialThrough(ctx, info.ID); through != nil {
			err = errors.Join(err, through)
		} else {
			err = nil
		}
	}
	first := n.contacts.dialled(info.ID)
	switch {
	case err == nil || ctx.Err() != nil:
	case first:
		n.log.Warn("bootstrap peer not reached; trying on", "peer", info.ID, "addrs", info.Addrs, "err", err)
	default:
		n.log.Debug("peer not reached", "peer", info.ID, "addrs", info.Addrs, "err", err)
	}
}

func (n *Network) dialDirectly(ctx context.Context, info peer.AddrInfo) error {
	if len(info.Addrs) == 0 {
		return errors.New("no address is known")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// Direct dials ignore libp2p's own back-off of failed addresses, which would keep a restarted neighbour away for longer than
	// contacts do.
	return n.host.Connect(network.WithForceDirectDial(ctx, "contact"), info)
}

// introductions are the members connected here, for a member that has just arrived, with their addresses if they can be dialled.
func (n *Network) introductions(to peer.ID) []introduction {
	var list []introduction
	for _, p := range n.inReach() {
		if p == to || len(list) == maxIntroduced {
			continue
		}
		var addrs []string
		for _, a := range n.host.Peerstore().Addrs(p) {
			if checkTransport(a) == nil && len(addrs) < maxHelloAddrs {
				addrs = append(addrs, a.String())
			}
		}
		list = append(list, introduction{ID: p, Addrs: addrs})
	}
	return list
}
