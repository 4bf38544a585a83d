package p2p

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// WithoutIntroductions keeps n from telling its peers of others, so that only lookups can.
func (n *Network) WithoutIntroductions() { n.introduce = func(peer.ID) []introduction { return nil } }

// AcceptGossip is what gossip does with a message.
func (n *Network) AcceptGossip(envelope []byte, from peer.ID) error {
	_, _, err := n.acceptEnvelope(envelope, from)
	return err
}

// LeavesGap tells whether gossip that brought r is followed by a sync.
func (n *Network) LeavesGap(r *record.Signed) bool { return n.leavesGap(r) }

// IsQuota tells whether an error says that an author has used up its quota.
func IsQuota(err error) bool { return errors.Is(err, errQuota) }

// Lookup asks the DHT for a member's addresses.
func (n *Network) Lookup(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	return n.lookup.find(ctx, p)
}
