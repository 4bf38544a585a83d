package node

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

// A deadline follows those who are there: it waits for slow edges, up to a bound, and not as long for fast ones.
func TestPace(t *testing.T) {
	const policy = time.Minute
	start := time.Unix(1_900_000_000, 0)
	slow, fast := idOf(t, 1), idOf(t, 2)
	both := []peer.ID{slow, fast}
	var p pace
	check := func(when string, want time.Duration) {
		t.Helper()
		if got := p.deadline(policy, both); got != want {
			t.Errorf("%s: deadline %s, want %s", when, got, want)
		}
	}
	check("before anything is known", policy)
	p.open(1, start, map[peer.ID]uint64{})
	p.arrive(start.Add(time.Second), map[peer.ID]uint64{fast: 1})
	check("with one of two", policy)
	p.arrive(start.Add(20*time.Second), map[peer.ID]uint64{fast: 1, slow: 1})
	check("with both", 80*time.Second)
	if got := p.grace(policy); got != policy {
		t.Errorf("grace %s before an aggregate was seen", got)
	}
	p.close(1, start.Add(31*time.Second), both)
	if got := p.grace(policy); got != 44*time.Second {
		t.Errorf("grace %s after an aggregate took 11 s, want four times that", got)
	}

	for round := uint64(2); round <= 3; round++ { // the slow one gets stuck
		opened := start.Add(time.Duration(round) * time.Hour)
		if !p.waitsFor(slow) {
			t.Errorf("round %d does not wait for the slow one any more", round)
		}
		p.open(round, opened, map[peer.ID]uint64{fast: round - 1, slow: 1})
		p.arrive(opened.Add(time.Second), map[peer.ID]uint64{fast: round, slow: 1})
		p.close(round, opened.Add(2*time.Second), both)
	}
	if p.waitsFor(slow) || !p.waitsFor(fast) {
		t.Error("after two rounds without the slow one it is still waited for, or the fast one is not")
	}
	check("with the fast one alone", policy/paceLeast)

	opened := start.Add(4 * time.Hour)
	p.open(4, opened, map[peer.ID]uint64{fast: 3, slow: 1})
	p.arrive(opened.Add(10*time.Minute), map[peer.ID]uint64{fast: 3, slow: 2}) // late by two rounds
	if !p.waitsFor(slow) {
		t.Error("the slow one sent something, and is not waited for")
	}
	check("at the most", paceMost*policy)
}

// All nodes find the same order, every super-peer is first in its share of the rounds, and when one goes the others keep their order.
func TestRendezvous(t *testing.T) {
	supers := []peer.ID{idOf(t, 1), idOf(t, 2), idOf(t, 3), idOf(t, 4)}
	rapid.Check(t, func(rt *rapid.T) {
		round := rapid.Uint64().Draw(rt, "round")
		order := rendezvous(someFederation, round, supers)
		if got := rendezvous(someFederation, round, rapid.Permutation(supers).Draw(rt, "supers")); !slices.Equal(got, order) {
			rt.Errorf("orders %v and %v", order, got)
		}
		gone := rapid.SampledFrom(supers).Draw(rt, "gone")
		left := slices.DeleteFunc(slices.Clone(order), func(p peer.ID) bool { return p == gone })
		if got := rendezvous(someFederation, round, left); !slices.Equal(got, left) {
			rt.Errorf("without %s the order is %v, want %v", gone, got, left)
		}
	})
	first := map[peer.ID]int{}
	for round := range uint64(4000) {
		first[rendezvous(someFederation, round, supers)[0]]++
	}
	for p, n := range first {
		if n < 850 || n > 1150 {
			t.Errorf("%s is first in %d of 4000 rounds", p, n)
		}
	}
}
