package node

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// recentLedger reads what inspecting commands reckon with, of a home that no node runs on: certificates, disputes, policies, and the aggregates from
// the one on that the node last knew to stand; earlier ones are read when they are asked for. Deltas are not in it. It tells the same of the others
// as a ledger of all records: an aggregate that once stood stands for good, as does all that it is built on, and one that wins over it is of its
// round or of a later one.
func recentLedger(store *storage.Store) (*ledger, error) {
	l := emptyLedger()
	for _, kind := range []record.Kind{record.KindCertificate, record.KindDispute, record.KindPolicy} {
		for r, err := range store.Records(kind) {
			if err != nil {
				return nil, fmt.Errorf("read records: %w", err)
			}
			l.add(r)
		}
	}
	l.chain.load = func(id cid.Cid) *aggregateEntry {
		r, err := store.Record(id)
		if err != nil {
			return nil // not here, or unreadable, of which fsck tells
		}
		return aggregateOf(r)
	}
	s := settler{chain: l.chain, settled: map[cid.Cid]bool{}}
	from := uint64(0)
	if s.standing = l.lastStanding(store); s.standing != nil {
		from = s.standing.body.Round
	}
	for r, err := range store.ByRound(record.KindAggregate, storage.Range{From: from, To: math.MaxUint64}) {
		if err != nil {
			return nil, fmt.Errorf("read records: %w", err)
		}
		a := l.chain.known[r.CID]
		if a == nil {
			a = aggregateOf(r)
		}
		if a != nil {
			l.chain.known[a.cid] = a
			s.settle(a)
			l.list(a)
		}
	}
	return l, nil
}

// aggregateOf is the entry of a record; nil if that is of another kind, or of a newer version, which is kept and never acted on.
func aggregateOf(r *record.Signed) *aggregateEntry {
	body, err := record.BodyAs[record.Aggregate](r)
	if err != nil {
		return nil
	}
	header := r.Record
	header.Body = nil
	return &aggregateEntry{Record: header, cid: r.CID, body: body, size: int64(len(r.Envelope))}
}

// lastStanding is the newest aggregate when the node last looked, nil if it never did.
func (l *ledger) lastStanding(store *storage.Store) *aggregateEntry {
	var text string
	if ok, err := getJSON(store, keyStanding, &text); err != nil || !ok {
		return nil
	}
	id, err := cid.Decode(text)
	if err != nil {
		return nil
	}
	return l.chain.find(id)
}

// noteStanding stores which aggregate is the newest, so that commands need not find it out from the first one on.
func (n *Node) noteStanding(a *aggregateEntry) {
	if a == nil || a.cid == n.standing {
		return
	}
	if err := putJSON(n.store, keyStanding, a.cid.String()); err != nil {
		if !errors.Is(err, storage.ErrNoSpace) && !errors.Is(err, storage.ErrClosed) {
			n.log.Warn("newest aggregate not noted", "err", err)
		}
		return
	}
	n.standing = a.cid
}

// settler finds out which aggregates stand, from the one that it is asked about back to one of which that is known.
type settler struct {
	chain    chain
	settled  map[cid.Cid]bool
	standing *aggregateEntry // with all that it is built on; the walk along these has come to it
}

// settle says whether a stands.
func (s *settler) settle(a *aggregateEntry) {
	var path []*aggregateEntry
	for b := a; b != nil; b = s.chain.before(b) {
		if s.follow(b.body.Round); s.settled[b.cid] {
			break
		}
		path = append(path, b)
	}
	for _, b := range slices.Backward(path) {
		b.stands = s.chain.flaw(b) == nil
		s.settled[b.cid] = true
	}
}

// follow settles those that are known to stand, back to a round.
func (s *settler) follow(round uint64) {
	for s.standing != nil && s.standing.body.Round >= round {
		s.standing.stands, s.settled[s.standing.cid] = true, true
		s.standing = s.chain.before(s.standing)
	}
}
