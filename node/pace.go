package node

import (
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// pace is how long edges and super-peers take for their parts of a round, as seen from here. It makes of the policy's deadline, which nobody
// can choose well for machines that nobody knows, one that fits those who are there. The zero value knows nothing. One goroutine uses it.
type pace struct {
	round  uint64
	opened map[uint64]time.Time        // of the last rounds
	newest map[peer.ID]uint64          // round of the last delta that has been seen
	took   map[peer.ID][]time.Duration // from the opening of a round to an edge's delta, for its last rounds
	missed map[peer.ID]int             // rounds in a row that closed without an edge that was there
	last   time.Time                   // arrival of the round's last delta
	work   []time.Duration             // from there to the aggregate, for the last rounds
}

const (
	paceMemory = 4 // rounds
	// A round closes when paceMargin times what the slowest of the live edges took lately has passed, but not before 1/paceLeast of the
	// policy's deadline, nor after paceMost times that.
	paceMargin = 4
	paceLeast  = 2
	paceMost   = 4
	// An edge that is connected and was missing for missedRounds rounds in a row is not waited for, until something comes from it.
	missedRounds = 2
)

// open begins a round. The deltas that are here already, of which newest are the rounds by author, tell nothing of the time they took.
func (p *pace) open(round uint64, now time.Time, newest map[peer.ID]uint64) {
	if p.opened == nil {
		*p = pace{opened: map[uint64]time.Time{}, took: map[peer.ID][]time.Duration{}, missed: map[peer.ID]int{}}
	}
	p.round, p.opened[round], p.last, p.newest = round, now, time.Time{}, newest
	maps.DeleteFunc(p.opened, func(r uint64, _ time.Time) bool { return r+paceMemory < round })
}

// arrive notes the rounds of the newest delta of every author.
func (p *pace) arrive(now time.Time, newest map[peer.ID]uint64) {
	if p.opened == nil {
		return
	}
	for author, round := range newest {
		if round <= p.newest[author] {
			continue
		}
		p.newest[author] = round
		delete(p.missed, author)
		if opened, known := p.opened[round]; known {
			p.took[author] = lastOf(append(p.took[author], now.Sub(opened)))
			p.last = now
		}
	}
}

// close notes an aggregate; live are the edges that are connected. Another one of a round before tells nothing.
func (p *pace) close(round uint64, now time.Time, live []peer.ID) {
	if p.opened == nil || round < p.round {
		return
	}
	for _, edge := range live {
		if p.newest[edge] < p.round {
			p.missed[edge]++
		}
	}
	if !p.last.IsZero() {
		p.work = lastOf(append(p.work, now.Sub(p.last)))
	}
}

// waitsFor tells whether an edge that is connected is to be waited for.
func (p *pace) waitsFor(edge peer.ID) bool { return p.missed[edge] < missedRounds }

// deadline is how long a round waits for the live edges. While one of them has not been seen for a whole round it is at least the policy's.
func (p *pace) deadline(policy time.Duration, live []peer.ID) time.Duration {
	var slowest time.Duration
	known := len(live) > 0
	for _, edge := range live {
		if !p.waitsFor(edge) {
			continue
		}
		known = known && len(p.took[edge]) > 0
		slowest = max(slowest, slices.Max(append([]time.Duration{0}, p.took[edge]...)))
	}
	least := policy
	if known && slowest > 0 {
		least = policy / paceLeast
	}
	return min(max(paceMargin*slowest, least), paceMost*policy)
}

// grace is how long after the deadline the aggregate may take before the next super-peer takes over: a few times what aggregates took, and
// the policy's deadline while none was seen.
func (p *pace) grace(policy time.Duration) time.Duration {
	if len(p.work) == 0 {
		return policy
	}
	return min(max(paceMargin*slices.Max(p.work), policy/paceLeast), paceMost*policy)
}

func lastOf(list []time.Duration) []time.Duration { return list[max(0, len(list)-paceMemory):] }
