package p2p

import (
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/mlecs/mlecs/storage/record"
)

// asideProtocol is offered by a super-peer while it leaves rounds to others. Nothing is said over it: libp2p's identify tells everybody connected
// when a protocol comes and goes. A peer of which that is not known yet counts as one that leads.
const asideProtocol = "/mlecs/aside/1"

// StandAside tells the other members whether this node leaves rounds to other super-peers for the time being.
func (n *Network) StandAside(aside bool) {
	switch {
	case n.aside.Swap(aside) == aside:
	case aside:
		n.gated.SetStreamHandler(asideProtocol, func(s network.Stream) { s.Reset() })
	default:
		n.gated.RemoveStreamHandler(asideProtocol)
	}
}

// isAside tells whether a super-peer that is connected, or this node, stands aside.
func (n *Network) isAside(c *certificate) bool {
	p := c.body.Subject
	if p == n.id {
		return n.aside.Load()
	}
	if c.body.Role != record.RoleSuper || !n.gate.mutual(p) {
		return false
	}
	got, err := n.host.Peerstore().SupportsProtocols(p, asideProtocol)
	return err == nil && len(got) > 0
}
