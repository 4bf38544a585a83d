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

// meshTrace follows which peers are in the mesh of the one topic: GossipSub tells it by trace only.
type meshTrace struct {
	mu    sync.Mutex
	peers map[peer.ID]struct{}
}

var _ pubsub.RawTracer = (*meshTrace)(nil)

func newMeshTrace() *meshTrace { return &meshTrace{peers: make(map[peer.ID]struct{})} }

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

// The other events of pubsub.RawTracer do not touch the mesh.

func (*meshTrace) OnNewOutboundStream(peer.ID, protocol.ID)             {}
func (*meshTrace) Join(string)                                          {}
func (*meshTrace) Leave(string)                                         {}
func (*meshTrace) ValidateMessage(*pubsub.Message)                      {}
func (*meshTrace) DeliverMessage(*pubsub.Message)                       {}
func (*meshTrace) RejectMessage(*pubsub.Message, string)                {}
func (*meshTrace) DuplicateMessage(*pubsub.Message)                     {}
func (*meshTrace) ThrottlePeer(peer.ID)                                 {}
func (*meshTrace) RecvRPC(*pubsub.RPC)                                  {}
func (*meshTrace) SendRPC(*pubsub.RPC, peer.ID)                         {}
func (*meshTrace) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
func (*meshTrace) DropRPC(*pubsub.RPC, peer.ID)                         {}
func (*meshTrace) UndeliverableMessage(*pubsub.Message)                 {}
