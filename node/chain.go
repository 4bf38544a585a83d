package node

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage/record"
)

// chain tells which aggregates stand. Each is built on the one before it, its first parent; round 0 on the genesis. One stands if all that
// it is built on does, if a delta of its own round is in it, and if no delta in it is too old or has been counted before it. That depends on
// nothing but the records, in whatever order they came: the fork choice among those that stand is the same on all nodes with the same
// records, and no work is counted twice.
type chain struct {
	known   map[cid.Cid]*aggregateEntry
	builtOn map[cid.Cid][]*aggregateEntry // by first parent
	load    func(cid.Cid) *aggregateEntry // reads one that is not known, nil if there is none; nil: all are known
}

func newChain() chain {
	return chain{known: map[cid.Cid]*aggregateEntry{}, builtOn: map[cid.Cid][]*aggregateEntry{}}
}

// add takes an aggregate, and lets it and those that were waiting for it stand if they may.
func (c chain) add(a *aggregateEntry) {
	c.known[a.cid] = a
	if len(a.Parents) == 0 {
		return
	}
	c.builtOn[a.Parents[0]] = append(c.builtOn[a.Parents[0]], a)
	for next := []*aggregateEntry{a}; len(next) > 0; {
		a, next = next[0], next[1:]
		if a.stands = c.flaw(a) == nil; a.stands {
			next = append(next, c.builtOn[a.cid]...)
		}
	}
}

// find gives an aggregate by its id, nil if it is not known here.
func (c chain) find(id cid.Cid) *aggregateEntry {
	a := c.known[id]
	if a == nil && c.load != nil {
		if a = c.load(id); a != nil {
			c.known[id] = a
		}
	}
	return a
}

// before is the aggregate that a is built on, nil if there is none or it is not known here.
func (c chain) before(a *aggregateEntry) *aggregateEntry {
	if len(a.Parents) == 0 {
		return nil
	}
	return c.find(a.Parents[0])
}

// flaw tells why a does not stand, nil if it does.
func (c chain) flaw(a *aggregateEntry) error {
	round := a.body.Round
	if round == 0 {
		if len(a.Parents) == 0 || a.Parents[0] != a.Federation || len(a.body.Inputs) > 0 {
			return fmt.Errorf("round 0 is built on the genesis and has no inputs")
		}
		return nil
	}
	before := c.before(a)
	switch {
	case before == nil || !before.stands:
		return fmt.Errorf("what it is built on is not known here, or does not stand")
	case before.body.Round >= round:
		return fmt.Errorf("it is built on round %d", before.body.Round)
	}
	oldest, onTime := round, false
	authors := map[peer.ID]bool{}
	for _, in := range a.body.Inputs {
		if authors[in.Author] {
			return fmt.Errorf("it counts two deltas of %s", in.Author)
		}
		authors[in.Author] = true
		oldest = min(oldest, in.Round)
		onTime = onTime || in.Round == round
	}
	if !onTime {
		return fmt.Errorf("no delta of its own round is in it")
	}
	if round-oldest > method.MaxAge {
		return fmt.Errorf("it counts a delta of round %d", oldest)
	}
	counted := c.spent(before, round-min(round, method.MaxAge))
	for _, in := range a.body.Inputs {
		if counted[in.Delta] {
			return fmt.Errorf("it counts delta %s once more", in.Delta)
		}
	}
	return nil
}

// spent are the deltas that a and the aggregates that it is built on have counted, back to a round.
func (c chain) spent(a *aggregateEntry, oldest uint64) map[cid.Cid]bool {
	all := map[cid.Cid]bool{}
	for ; a != nil && a.body.Round >= oldest; a = c.before(a) {
		for _, in := range a.body.Inputs {
			all[in.Delta] = true
		}
	}
	return all
}

// flaw tells why an aggregate does not stand; nil also for one that is not known here.
func (l *ledger) flaw(id cid.Cid) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if a := l.chain.known[id]; a != nil {
		return l.chain.flaw(a)
	}
	return nil
}

// candidates are the deltas that may go into a round that follows before, one an author and the newest first: those of the round, in order
// of author and CID, then those that came too late for a round up to maxAge before and that no aggregate on the way has counted. Where an
// author has several for one round, it is the first. fits tells which deltas are of use at all.
func (l *ledger) candidates(round uint64, before *aggregateEntry, maxAge uint64, fits func(*deltaEntry) bool) []*deltaEntry {
	oldest := uint64(1)
	if round > maxAge {
		oldest = max(oldest, round-maxAge)
	}
	l.mu.Lock()
	spent := l.chain.spent(before, oldest)
	var fresh []*deltaEntry
	for r := round; r >= oldest; r-- {
		for _, d := range l.deltas[r] {
			if !spent[d.cid] && (r <= before.body.Round+1 || l.ground(d)) {
				fresh = append(fresh, d)
			}
		}
	}
	l.mu.Unlock()
	chosen := map[peer.ID]bool{}
	return slices.DeleteFunc(fresh, func(d *deltaEntry) bool {
		author := l.who(d.Author)
		if chosen[author] || !fits(d) {
			return true
		}
		chosen[author] = true
		return false
	})
}

// frontier is the round that most of the edges that went on after an aggregate have reached: the next one, unless they had no super-peer
// for a while and went on by themselves. fits tells which deltas are of use at all.
func (l *ledger) frontier(a *aggregateEntry, fits func(*deltaEntry) bool) uint64 {
	l.mu.Lock()
	var ahead []*deltaEntry
	for round, list := range l.deltas {
		for _, d := range list {
			if round > a.body.Round && (round == a.body.Round+1 || l.ground(d)) {
				ahead = append(ahead, d)
			}
		}
	}
	l.mu.Unlock()
	newest := map[peer.ID]uint64{}
	for _, d := range ahead {
		if author := l.who(d.Author); fits(d) {
			newest[author] = max(newest[author], d.body.Round)
		}
	}
	reached := make([]uint64, 0, len(newest))
	for _, round := range newest {
		reached = append(reached, round)
	}
	return max(mostReached(reached), a.body.Round+1)
}

// mostReached is the last round that more than half of those at these rounds have reached; 0 for none.
func mostReached(rounds []uint64) uint64 {
	if len(rounds) == 0 {
		return 0
	}
	slices.Sort(rounds)
	return rounds[(len(rounds)-1)/2]
}

// ground tells whether a delta's round is no invention: somebody must have closed the round before it. Either it began with an aggregate
// of that round, or what it was built on has a delta of that round or a later one of which the same holds. An edge can thus not move
// the federation's rounds on without having written a record for each. Callers hold mu.
func (l *ledger) ground(d *deltaEntry) bool {
	visited := map[cid.Cid]bool{}
	var visit func(d *deltaEntry) bool
	visit = func(d *deltaEntry) bool {
		if d.grounded || visited[d.cid] {
			return d.grounded
		}
		visited[d.cid] = true
		for _, p := range d.Parents {
			if a := l.chain.known[p]; a != nil && a.stands && a.body.Round+1 >= d.body.Round {
				d.grounded = true
			}
			if e := l.learned[p]; e != nil && e.body.Round+1 >= d.body.Round && visit(e) {
				d.grounded = true
			}
			if d.grounded {
				break
			}
		}
		return d.grounded
	}
	return visit(d)
}

// fresh are the newest deltas of edges other than d's author that d is not built on, one an author and in order of round, author and CID.
// Those that are too late for the round after d are left out, and those whose round is an invention.
func (l *ledger) fresh(d *deltaEntry, fits func(*deltaEntry) bool) []*deltaEntry {
	l.mu.Lock()
	within := l.ancestors(d)
	var found []*deltaEntry
	for round, list := range l.deltas {
		for _, e := range list {
			if round+method.MaxAge > d.body.Round && (round <= d.body.Round || l.ground(e)) {
				found = append(found, e)
			}
		}
	}
	l.mu.Unlock()
	slices.SortFunc(found, func(a, b *deltaEntry) int {
		return cmp.Or(cmp.Compare(b.body.Round, a.body.Round), cmp.Compare(a.Author, b.Author), compareCIDs(a.cid, b.cid))
	})
	chosen := map[peer.ID]bool{l.who(d.Author): true}
	found = slices.DeleteFunc(found, func(e *deltaEntry) bool {
		author := l.who(e.Author)
		if chosen[author] || !fits(e) {
			return true
		}
		chosen[author] = true
		return within[e.cid]
	})
	return found[:min(len(found), record.MaxInputs-2)] // they become parents of a record
}

// ancestors are the deltas that d is built on, and d. Callers hold mu.
func (l *ledger) ancestors(d *deltaEntry) map[cid.Cid]bool {
	all := map[cid.Cid]bool{d.cid: true}
	for next := []*deltaEntry{d}; len(next) > 0; {
		d, next = next[0], next[1:]
		for _, p := range d.Parents {
			if e := l.learned[p]; e != nil && !all[p] {
				all[p] = true
				next = append(next, e)
			}
		}
	}
	return all
}

// compareCIDs orders CIDs by their bytes.
func compareCIDs(a, b interface{ Bytes() []byte }) int { return bytes.Compare(a.Bytes(), b.Bytes()) }
