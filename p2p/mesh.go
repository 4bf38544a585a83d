package p2p

import (
	"maps"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// meshTrace follows which peers are in the mesh of the one topic, and who sends messages that GossipSub itself throws away: it tells that by
// trace only.
type meshTrace struct {
	blame   func(peer.ID, float64)
	replays replays

	mu    sync.Mutex
	peers map[peer.ID]struct{}
}

var _ pubsub.RawTracer = (*meshTrace)(nil)

func newMeshTrace(blame func(peer.ID, float64)) *meshTrace {
	return &meshTrace{blame: blame, peers: make(map[peer.ID]struct{})}
}

func (t *meshTrace) list() []peer.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.peers))
}

// Graft adds a peer.
func (t *meshTrace) Graft(p peer.ID, _ string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers[p] = struct{}{}
}

// Prune removes a peer.
func (t *meshTrace) Prune(p peer.ID, _ string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.peers, p)
}

// OnClosedOutboundStream removes a peer that is gone: the router does not prune it.
func (t *meshTrace) OnClosedOutboundStream(p peer.ID) { t.Prune(p, "") }

// RejectMessage blames who sent a message that is not even signed right. What a record breaks, accept has seen.
func (t *meshTrace) RejectMessage(m *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectMissingSignature, pubsub.RejectInvalidSignature, pubsub.RejectUnexpectedAuthInfo:
		t.blame(m.ReceivedFrom, faultInvalid)
	}
}

// DuplicateMessage blames who sends the same again and again.
func (t *meshTrace) DuplicateMessage(m *pubsub.Message) {
	if t.replays.again(m.ReceivedFrom, messageID(m.Message)) {
		t.blame(m.ReceivedFrom, faultReplay)
	}
}

// The other events of pubsub.RawTracer do not touch the mesh.

func (*meshTrace) OnNewOutboundStream(peer.ID, protocol.ID)             {}
func (*meshTrace) Join(string)                                          {}
func (*meshTrace) Leave(string)                                         {}
func (*meshTrace) ValidateMessage(*pubsub.Message)                      {}
func (*meshTrace) DeliverMessage(*pubsub.Message)                       {}
func (*meshTrace) ThrottlePeer(peer.ID)                                 {}
func (*meshTrace) RecvRPC(*pubsub.RPC)                                  {}
func (*meshTrace) SendRPC(*pubsub.RPC, peer.ID)                         {}
func (*meshTrace) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
func (*meshTrace) DropRPC(*pubsub.RPC, peer.ID)                         {}
func (*meshTrace) UndeliverableMessage(*pubsub.Message)                 {}
