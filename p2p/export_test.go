package p2p

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"
)

// WithoutIntroductions keeps n from telling its peers of others, so that only lookups can.
func (n *Network) WithoutIntroductions() { n.introduce = func(peer.ID) []introduction { return nil } }

// Lookup asks the DHT for a member's addresses.
func (n *Network) Lookup(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	return n.lookup.find(ctx, p)
}
