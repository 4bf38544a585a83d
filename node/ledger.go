package node

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// ledger indexes the deltas, aggregates and certificates of a store. Records reach it in any order, and any number of times. Safe for
// concurrent use.
type ledger struct {
	mu         sync.RWMutex
	seen       map[cid.Cid]bool
	aggregates map[uint64][]*aggregateEntry // by round, best first
	closed     []uint64                     // rounds that have an aggregate, in order
	deltas     map[uint64][]*deltaEntry     // by round, in order of author and CID
	chain      chain
	learned    map[cid.Cid]*deltaEntry
	newestOf   map[peer.ID]*deltaEntry // by author: a delta of the last round that it has one of
	holders    map[peer.ID]*record.Certificate
	heirs      map[peer.ID]peer.ID         // who took an identity's place; empty if several say that they did
	disputes   map[cid.Cid][]*disputeEntry // by aggregate, in order of arrival
	policies   map[peer.ID]*policyEntry    // by author: the one with the highest sequence number
	changed    chan struct{}               // closed at the next change
}

// aggregateEntry and deltaEntry are records without their envelopes.
type aggregateEntry struct {
	record.Record
	cid    cid.Cid
	body   *record.Aggregate
	size   int64 // of the record, in bytes
	stands bool  // see chain
}

type deltaEntry struct {
	record.Record
	cid      cid.Cid
	body     *record.Delta
	grounded bool // see ledger.ground
}

// disputeEntry is one member's objection to an aggregate.
type disputeEntry struct {
	record.Record
	body *record.Dispute
}

// newLedger reads all records of store.
func newLedger(store *storage.Store) (*ledger, error) {
	l := emptyLedger()
	for r, err := range store.Records("") {
		if err != nil {
			return nil, fmt.Errorf("read records: %w", err)
		}
		l.add(r)
	}
	return l, nil
}

func emptyLedger() *ledger {
	return &ledger{
		seen:       map[cid.Cid]bool{},
		aggregates: map[uint64][]*aggregateEntry{},
		deltas:     map[uint64][]*deltaEntry{},
		chain:      newChain(),
		learned:    map[cid.Cid]*deltaEntry{},
		newestOf:   map[peer.ID]*deltaEntry{},
		holders:    map[peer.ID]*record.Certificate{},
		heirs:      map[peer.ID]peer.ID{},
		disputes:   map[cid.Cid][]*disputeEntry{},
		policies:   map[peer.ID]*policyEntry{},
		changed:    make(chan struct{}),
	}
}

// add takes a record that the store accepted, and tells whether it is new here. Kinds that it does not know count only.
func (l *ledger) add(r *record.Signed) (fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[r.CID] {
		return false
	}
	l.seen[r.CID] = true
	header := r.Record
	header.Body = nil
	switch r.Kind {
	case record.KindAggregate:
		a := aggregateOf(r)
		if a == nil {
			return true
		}
		l.list(a)
		l.chain.add(a)
	case record.KindDelta:
		body, err := record.BodyAs[record.Delta](r)
		if err != nil {
			return true
		}
		d := &deltaEntry{Record: header, cid: r.CID, body: body}
		l.learned[r.CID] = d
		if last := l.newestOf[d.Author]; last == nil || last.body.Round < body.Round {
			l.newestOf[d.Author] = d
		}
		list := append(l.deltas[body.Round], d)
		slices.SortFunc(list, func(a, b *deltaEntry) int {
			return cmp.Or(cmp.Compare(a.Author, b.Author), compareCIDs(a.cid, b.cid))
		})
		l.deltas[body.Round] = list
	case record.KindDispute:
		body, err := record.BodyAs[record.Dispute](r)
		if err != nil {
			return
		}
		l.disputes[body.Aggregate] = append(l.disputes[body.Aggregate], &disputeEntry{header, body})
	case record.KindPolicy:
		body, err := record.BodyAs[record.Policy](r)
		if err != nil {
			return true
		}
		if have := l.policies[r.Author]; have == nil || have.Seq < r.Seq {
			l.policies[r.Author] = &policyEntry{header, r.CID, body}
		}
	case record.KindCertificate:
		body, err := record.BodyAs[record.Certificate](r)
		if err != nil || body.Invite {
			return true
		}
		if have := l.holders[body.Subject]; have == nil || have.Expires < body.Expires {
			l.holders[body.Subject] = body
		}
		if len(body.Heir) > 0 {
			if heir, ok := l.heirs[r.Author]; ok && heir != body.Subject {
				l.heirs[r.Author] = ""
			} else {
				l.heirs[r.Author] = body.Subject
			}
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return true
}

// list puts an aggregate beside those of its round. Callers hold mu.
func (l *ledger) list(a *aggregateEntry) {
	round := a.body.Round
	if i, ok := slices.BinarySearch(l.closed, round); !ok {
		l.closed = slices.Insert(l.closed, i, round)
	}
	all := append(l.aggregates[round], a)
	slices.SortFunc(all, compareAggregates)
	l.aggregates[round] = all
}

// compareAggregates is the fork choice: of two aggregates of one round the one with more inputs wins, then the lower CID.
func compareAggregates(a, b *aggregateEntry) int {
	return cmp.Or(cmp.Compare(len(b.body.Inputs), len(a.body.Inputs)), compareCIDs(a.cid, b.cid))
}

// next is closed when the ledger changes. Ask for it before looking, so that no change is missed.
func (l *ledger) next() <-chan struct{} {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.changed
}

// newest is the winning aggregate of the last round that has one that stands; those to skip are passed over, none if skip is nil. It is nil
// if there is none.
func (l *ledger) newest(skip func(cid.Cid) bool) *aggregateEntry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, round := range slices.Backward(l.closed) {
		for _, a := range l.aggregates[round] {
			if a.stands && (skip == nil || !skip(a.cid)) {
				return a
			}
		}
	}
	return nil
}

// aggregate finds an aggregate, whether it stands or not; nil if there is none of this id.
func (l *ledger) aggregate(id cid.Cid) *aggregateEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chain.find(id)
}

// before is the aggregate that a is built on, nil if there is none or it is not known here.
func (l *ledger) before(a *aggregateEntry) *aggregateEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chain.before(a)
}

// back yields the newest aggregate and all that it builds on, one a round, the newest first.
func (l *ledger) back() iter.Seq[*aggregateEntry] {
	return func(yield func(*aggregateEntry) bool) {
		for a := l.newest(nil); a != nil && yield(a); {
			a = l.before(a)
		}
	}
}

// who is the identity that has taken p's place, itself or through others; p if there is none.
func (l *ledger) who(p peer.ID) peer.ID {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.current(p)
}

// current is who. Callers hold mu.
func (l *ledger) current(p peer.ID) peer.ID {
	for range len(l.heirs) { // no more, were they to name each other
		heir := l.heirs[p]
		if heir == "" {
			break
		}
		p = heir
	}
	return p
}

// own is author's delta of a round, or that of an identity whose place it has taken; nil if it has published none.
func (l *ledger) own(author peer.ID, r uint64) *deltaEntry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, d := range l.deltas[r] {
		if d.Author == author || l.current(d.Author) == author {
			return d
		}
	}
	return nil
}

// latest gives the round of the newest delta of every author.
func (l *ledger) latest() map[peer.ID]uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	rounds := make(map[peer.ID]uint64, len(l.newestOf))
	for author, d := range l.newestOf {
		rounds[author] = d.body.Round
	}
	return rounds
}

// lastOf is author's delta of the last round that it, or an identity whose place it has taken, has one of; nil if it has published none.
func (l *ledger) lastOf(author peer.ID) *deltaEntry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	last := l.newestOf[author]
	for old := range l.heirs {
		if d := l.newestOf[old]; d != nil && l.current(old) == author && (last == nil || last.body.Round < d.body.Round) {
			last = d
		}
	}
	return last
}

// allDeltas gives every delta in order of round, author and CID.
func (l *ledger) allDeltas() []*deltaEntry { return l.deltasFrom(0) }

// deltasFrom gives the deltas of a round and of those after it, in order of round, author and CID.
func (l *ledger) deltasFrom(first uint64) []*deltaEntry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var list []*deltaEntry
	for _, round := range slices.Sorted(maps.Keys(l.deltas)) {
		if round >= first {
			list = append(list, l.deltas[round]...)
		}
	}
	return list
}

// holder is the last-ending certificate seen of p, expired or not.
func (l *ledger) holder(p peer.ID) (record.Certificate, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if c := l.holders[p]; c != nil {
		return *c, true
	}
	return record.Certificate{}, false
}

// allHolders gives every member ever certified, in order of id, but those whose place another has taken.
func (l *ledger) allHolders() []record.Certificate {
	l.mu.RLock()
	defer l.mu.RUnlock()
	list := make([]record.Certificate, 0, len(l.holders))
	for _, p := range slices.Sorted(maps.Keys(l.holders)) {
		if _, retired := l.heirs[p]; !retired {
			list = append(list, *l.holders[p])
		}
	}
	return list
}

// nthNewest is the n-th last round that has an aggregate, 0 if there are fewer.
func (l *ledger) nthNewest(n int) uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.closed) < n {
		return 0
	}
	return l.closed[len(l.closed)-n]
}

// disputesOf gives the objections to an aggregate, in order of arrival.
func (l *ledger) disputesOf(aggregate cid.Cid) []*disputeEntry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.disputes[aggregate])
}

// disputedBy gives the aggregates of author to which somebody objects.
func (l *ledger) disputedBy(author peer.ID) []cid.Cid {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []cid.Cid
	for id := range l.disputes {
		if a := l.chain.find(id); a != nil && (a.Author == author || l.current(a.Author) == author) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b cid.Cid) int { return compareCIDs(a, b) })
	return ids
}

// disputed counts the aggregates of each author to which somebody objects.
func (l *ledger) disputed() map[peer.ID]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := map[peer.ID]int{}
	for id := range l.disputes {
		if a := l.chain.find(id); a != nil {
			count[l.current(a.Author)]++
		}
	}
	return count
}

// countDeltas is the number of deltas.
func (l *ledger) countDeltas() (n int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, list := range l.deltas {
		n += len(list)
	}
	return n
}

// records are the ids of all records, sorted as text.
func (l *ledger) records() []string {
	l.mu.RLock()
	list := make([]string, 0, len(l.seen))
	for id := range l.seen {
		list = append(list, id.String())
	}
	l.mu.RUnlock()
	slices.Sort(list)
	return list
}

// count is the number of records.
func (l *ledger) count() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.seen)
}
