package node

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// turn is one round as a super-peer sees it: which super-peers may close it, in which order, and since when it is open.
type turn struct {
	after  cid.Cid // aggregate that the round builds on; undefined for round 0
	order  []peer.ID
	opened time.Time
	guest  bool // opened while this node was a guest, see super.settle
	held   bool // by a pause: it opens anew
}

// settling is how long a super-peer that has just begun to run, or to have room, is a guest: it stands aside, and leaves rounds that others may be in
// the middle of to them. They have opened the round by then, without it.
const settling = 2 * time.Second

// settle ends this super-peer's time as a guest.
func (s *super) settle() {
	if s.guest.Swap(false) {
		s.tellStanding()
	}
}

// arrive begins it.
func (s *super) arrive() {
	s.arrived = time.Now()
	s.guest.Store(true)
	s.tellStanding()
}

// rendezvous orders super-peers for a round (highest random weight): every node finds the same order, each of them is first in as many
// rounds, and when one goes only its rounds fall to others.
func rendezvous(federation cid.Cid, round uint64, supers []peer.ID) []peer.ID {
	weight := func(p peer.ID) []byte {
		h := sha256.New()
		h.Write(federation.Bytes())
		h.Write(binary.BigEndian.AppendUint64(nil, round))
		h.Write([]byte(p))
		return h.Sum(nil)
	}
	weights := make(map[peer.ID][]byte, len(supers))
	for _, p := range supers {
		weights[p] = weight(p)
	}
	return slices.SortedFunc(slices.Values(supers), func(a, b peer.ID) int {
		return cmp.Or(bytes.Compare(weights[b], weights[a]), cmp.Compare(a, b))
	})
}

// supers are the super-peers that are connected, and this node itself. Those that this node found lying are left out, and those that stand aside unless
// they are wanted.
func (s *super) supers(withAside bool) []peer.ID {
	list := []peer.ID{s.self}
	for _, m := range s.network.Members() {
		if m.Role == record.RoleSuper && m.Connected && (withAside || !m.Aside) && m.ID != s.self && !s.distrusts(m.ID) {
			list = append(list, m.ID)
		}
	}
	return list
}

// open begins the turn that follows a, nil for round 0, unless it is open.
func (s *super) open(a *aggregateEntry) {
	var after cid.Cid
	round := uint64(0)
	if a != nil {
		after, round = a.cid, a.body.Round+1
	}
	if s.turn != nil && s.turn.after == after && !s.turn.held {
		return
	}
	s.turn = &turn{after: after, order: rendezvous(s.genesis.id, round, s.supers(false)), opened: time.Now(), guest: s.guest.Load()}
	s.pace.open(round, s.turn.opened, s.ledger.latest())
}

// leads tells whether this super-peer is to close the round, for which it must have room: if it is the first of those that are there or, once the
// round is overdue, if those before it have each had their time. The others' order is that at the opening: who comes later does not take a round
// from whom is at work on it.
func (s *super) leads() bool {
	there, all := s.supers(false), s.supers(true)
	switch {
	case len(all) == 1:
		return true
	case s.room() != nil:
		s.arrive()
		s.turn.guest = true
		return false
	case time.Since(s.arrived) >= settling:
		s.settle()
	}
	order := s.turn.order
	alone := len(there) == 1 // with those that stand aside: nobody is at work on the round
	if s.turn.guest {
		order = rendezvous(s.genesis.id, 0, all)
		if alone {
			there = all
		}
	}
	ahead := 0
	for _, p := range order[:slices.Index(order, s.self)] {
		if slices.Contains(there, p) {
			ahead++
		}
	}
	if ahead == 0 && (alone || !s.turn.guest) {
		return true
	}
	return time.Since(s.turn.opened) >= s.deadline()+time.Duration(ahead)*s.grace()
}

// grace is how much longer the aggregate may take before the next super-peer takes over.
func (s *super) grace() time.Duration {
	return s.pace.grace(time.Duration(s.policy().Deadline) * time.Millisecond)
}
