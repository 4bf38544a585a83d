package p2p

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// helloDeadline is how long a peer may stay connected without having proved membership.
const helloDeadline = 5 * time.Second

// gate knows for every connected peer how far the two sides have proved themselves. Proofs hold for the peer id, which every
// connection authenticates, and end with its last connection.
type gate struct {
	now func() time.Time

	mu    sync.Mutex
	peers map[peer.ID]*admission
}

// admission is one connected peer. A peer is proved once its certificate chain was verified here: its streams are served. It is
// mutual once it has verified ours too: only then does this node open streams to it, since earlier ones would be reset.
type admission struct {
	since  time.Time // of the first connection
	proved bool
	mutual bool
	rtt    time.Duration // last measured, 0 before
	silent int           // pings in a row without an answer
	gossip int           // streams of gossip that it has opened

	settled chan struct{} // closed once mutual, or forgotten
}

func newGate(now func() time.Time) *gate {
	return &gate{now: now, peers: make(map[peer.ID]*admission)}
}

// connected notes a connection; the clock of a peer already connected goes on.
func (g *gate) connected(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.peers[p] == nil {
		g.peers[p] = &admission{since: g.now(), settled: make(chan struct{})}
	}
}

// disconnected forgets p and tells whether it was mutual.
func (g *gate) disconnected(p peer.ID) (mutual bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[p]
	g.forget(p)
	return a != nil && a.mutual
}

// forget drops p. Callers hold mu.
func (g *gate) forget(p peer.ID) {
	if a := g.peers[p]; a != nil && !a.mutual {
		close(a.settled)
	}
	delete(g.peers, p)
}

// evict forgets p, so that nothing of it is served any more, and tells whether there was anything to forget.
func (g *gate) evict(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, known := g.peers[p]
	g.forget(p)
	return known
}

// prove admits p's streams; false if it has disconnected meanwhile.
func (g *gate) prove(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[p]
	if a == nil {
		return false
	}
	a.proved = true
	return true
}

// open completes the proof both ways and tells whether it had not been before.
func (g *gate) open(p peer.ID) (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[p]
	if a == nil || !a.proved {
		return false
	}
	first = !a.mutual
	a.mutual = true
	if first {
		close(a.settled)
	}
	return first
}

// await waits until the proof of p, which is connected, is complete both ways.
func (g *gate) await(ctx context.Context, p peer.ID) error {
	g.mu.Lock()
	a := g.peers[p]
	g.mu.Unlock()
	if a != nil {
		select {
		case <-a.settled:
		case <-ctx.Done():
			return fmt.Errorf("membership of %s not proved: %w", p, ctx.Err())
		}
	}
	if !g.mutual(p) {
		return fmt.Errorf("%s has not proved to be a member", p)
	}
	return nil
}

func (g *gate) proved(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[p]
	return a != nil && a.proved
}

func (g *gate) mutual(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[p]
	return a != nil && a.mutual
}

// snapshot copies the state of all peers.
func (g *gate) snapshot() map[peer.ID]admission {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[peer.ID]admission, len(g.peers))
	for p, a := range g.peers {
		all[p] = *a
	}
	return all
}

func (g *gate) setRTT(p peer.ID, rtt time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.peers[p]; a != nil {
		a.rtt, a.silent = rtt, 0
	}
}

// unanswered counts a ping of p that had no answer, and gives how many there were in a row.
func (g *gate) unanswered(p peer.ID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[p]
	if a == nil {
		return 0
	}
	a.silent++
	return a.silent
}

// gossips counts a stream of gossip that p has opened, and gives how many there were since it connected.
func (g *gate) gossips(p peer.ID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[p]
	if a == nil {
		return 0
	}
	a.gossip++
	return a.gossip
}

// guard serves h to proved peers and resets the streams of all others.
func (g *gate) guard(h network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		if !g.proved(s.Conn().RemotePeer()) {
			s.Reset()
			return
		}
		h(s)
	}
}
