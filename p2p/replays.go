package p2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds of what is remembered of messages heard again.
const (
	replayMessages = 512 // of one peer
	replayPeers    = 256
)

// replays tells peers that repeat themselves from peers that are merely late. In a mesh a message comes once from every neighbour, and
// perhaps once more because it was asked for: all but the first are duplicates. More from the same peer are on purpose.
type replays struct {
	mu    sync.Mutex
	heard map[peer.ID]map[string]struct{} // duplicates
}

// again notes a duplicate, and tells whether p has sent it as one before.
func (r *replays) again(p peer.ID, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard == nil || r.heard[p] == nil && len(r.heard) >= replayPeers {
		r.heard = make(map[peer.ID]map[string]struct{})
	}
	of := r.heard[p]
	if of == nil || len(of) >= replayMessages {
		of = make(map[string]struct{})
		r.heard[p] = of
	}
	_, known := of[id]
	of[id] = struct{}{}
	return known
}
