package chaos

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mlecs/mlecs/testnet"
)

// links says what happens to what one node sends to another. Safe for concurrent use.
type links struct {
	mu    sync.Mutex
	side  map[string]int // of a partition: nodes of different sides do not reach each other
	slow  map[string]quality
	dice  *rand.Rand
	mends chan struct{} // closed at the next change
}

// quality of a node's own link.
type quality struct {
	delay time.Duration // of each packet, one way
	loss  float64       // share of packets
}

func newLinks(seed uint64) *links {
	return &links{side: map[string]int{}, slow: map[string]quality{}, dice: rand.New(rand.NewPCG(seed, 0x117145)), mends: make(chan struct{})}
}

// cut puts two groups on two sides.
func (l *links) cut(one, other []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.side)
	for _, name := range one {
		l.side[name] = 1
	}
	for _, name := range other {
		l.side[name] = 2
	}
	l.changed()
}

// heal ends a partition.
func (l *links) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.side)
	l.changed()
}

// set changes the quality of a node's link.
func (l *links) set(name string, delay time.Duration, loss float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow[name] = quality{delay, loss}
	l.changed()
}

func (l *links) changed() {
	close(l.mends)
	l.mends = make(chan struct{})
}

// between tells whether a packet gets through, and how much later. A packet passes both nodes' own links. An unknown sender is on no side
// of a partition, and reaches nobody who is on one.
func (l *links) between(from, to string) (delay time.Duration, through bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.apart(from, to) {
		return 0, false
	}
	for _, name := range []string{from, to} {
		q := l.slow[name]
		delay += q.delay
		if q.loss > 0 && l.dice.Float64() < q.loss {
			return 0, false
		}
	}
	return delay, true
}

func (l *links) apart(from, to string) bool { return l.side[from] != l.side[to] }

// passable waits until a stream from one node to another is not cut, or done is closed.
func (l *links) passable(from, to string, done <-chan struct{}) bool {
	for {
		l.mu.Lock()
		apart, mends := l.apart(from, to), l.mends
		l.mu.Unlock()
		if !apart {
			return true
		}
		select {
		case <-mends:
		case <-done:
			return false
		}
	}
}

// wires join the nodes of a testnet so that links are obeyed.
type wires interface {
	fmt.Stringer
	// plug gives a node a place in the network.
	plug(name string, p *testnet.Place) error
	close()
}

// newWires takes network namespaces where it may, and proxies elsewhere.
func newWires(l *links, unprivileged bool) (wires, error) {
	if !unprivileged {
		w, err := newNamespaces(l)
		if err == nil {
			return w, nil
		}
	}
	return newProxies(l)
}
