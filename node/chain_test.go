package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/storage/record"
)

// someForks draws aggregates that each build on one before them, those of one round and those that are not allowed among them.
func someForks(t *testing.T) *rapid.Generator[[]*record.Signed] {
	return rapid.Custom(func(rt *rapid.T) []*record.Signed {
		records := []*record.Signed{aggregateWith(t, 9, 1, 0, nil)}
		rounds := []uint64{0}
		for i := range rapid.IntRange(1, 12).Draw(rt, "aggregates") {
			on := rapid.IntRange(0, len(records)-1).Draw(rt, "on")
			round := rounds[on] + uint64(rapid.IntRange(0, 2).Draw(rt, "further"))
			deltas := rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 3, rapid.ID[int]).Draw(rt, "deltas")
			var inputs []string
			for _, d := range deltas {
				inputs = append(inputs, fmt.Sprint("delta ", d))
			}
			author := byte(rapid.IntRange(1, 3).Draw(rt, "author"))
			records, rounds = append(records, aggregateWith(t, author, uint64(i+2), round, records[on], inputs...)), append(rounds, round)
		}
		return records
	})
}

// However aggregates fork, and whatever order they arrive in and however often, every node comes to the same history: one aggregate a round,
// each on the one before, and no delta counted twice.
func TestForkChoiceIsTheSameEverywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		records := someForks(t).Draw(rt, "aggregates")
		history := func(order []int) (all []cid.Cid) {
			l := emptyLedger()
			for _, i := range order {
				l.add(records[i])
			}
			counted := map[cid.Cid]bool{}
			for i, a := range l.rounds() {
				if i > 0 && (a.body.Round <= l.rounds()[i-1].body.Round || a.Parents[0] != all[i-1]) {
					rt.Errorf("round %d follows round %d", a.body.Round, l.rounds()[i-1].body.Round)
				}
				for _, in := range a.body.Inputs {
					if counted[in.Delta] {
						rt.Errorf("delta %s counts twice", in.Delta)
					}
					counted[in.Delta] = true
				}
				all = append(all, a.cid)
			}
			return all
		}
		inOrder := make([]int, len(records))
		for i := range inOrder {
			inOrder[i] = i
		}
		want := history(inOrder)
		if len(want) == 0 {
			rt.Fatal("no history")
		}
		other := rapid.Permutation(append(inOrder, inOrder...)).Draw(rt, "arrival")
		if got := history(other); !slices.Equal(got, want) {
			rt.Errorf("one node's history is %v, another's %v", want, got)
		}
	})
}

// deltaOn is a delta of one edge that was built on records.
func deltaOn(t *testing.T, seed byte, seq, round uint64, on ...*record.Signed) *record.Signed {
	t.Helper()
	var parents []cid.Cid
	for _, r := range on {
		parents = append(parents, r.CID)
	}
	return sign(t, seed, seq, int64(seq), &record.Delta{Round: round, Base: record.BlobCID([]byte("base")), Modalities: []string{"image"}, Rows: 3}, parents...)
}

// The round that follows is that which most edges have reached by themselves, and no edge can invent one.
func TestFrontier(t *testing.T) {
	zero := aggregateWith(t, 9, 1, 0, nil)
	a1, b1 := deltaOn(t, 1, 1, 1, zero), deltaOn(t, 2, 1, 1, zero)
	a2, b2 := deltaOn(t, 1, 2, 2, zero, a1, b1), deltaOn(t, 2, 2, 2, zero, b1, a1)
	a3 := deltaOn(t, 1, 3, 3, zero, a2, b2)
	slow := deltaOn(t, 3, 1, 1, zero)
	inventor := deltaOn(t, 4, 1, 900, zero)
	for _, tc := range []struct {
		name    string
		records []*record.Signed
		want    uint64
	}{
		{"nobody", nil, 1},
		{"the next round", []*record.Signed{a1, b1}, 1},
		{"both went on", []*record.Signed{a1, b1, a2, b2}, 2},
		{"one is ahead of the other", []*record.Signed{a1, b1, a2, b2, a3}, 2},
		{"two of three went on", []*record.Signed{a1, b1, a2, b2, slow}, 2},
		{"one of two went on", []*record.Signed{a1, b1, a2, slow}, 1},
		{"alone", []*record.Signed{a1, b1, a2, b2, a3}[:3], 1},
		{"a round that nobody closed before", []*record.Signed{inventor}, 1},
		{"deltas whose parents are not here", []*record.Signed{a3}, 1},
	} {
		l := emptyLedger()
		for _, r := range append([]*record.Signed{zero}, tc.records...) {
			l.add(r)
		}
		if got := l.frontier(l.newest(nil), func(*deltaEntry) bool { return true }); got != tc.want {
			t.Errorf("%s: round %d, want %d", tc.name, got, tc.want)
		}
	}
}

// An edge merges the newest deltas of others that it has not merged before, one of each.
func TestFreshDeltas(t *testing.T) {
	zero := aggregateWith(t, 9, 1, 0, nil)
	mine, theirs, third := deltaOn(t, 1, 1, 1, zero), deltaOn(t, 2, 1, 1, zero), deltaOn(t, 3, 1, 1, zero)
	next := deltaOn(t, 1, 2, 2, zero, mine, theirs)
	ahead := deltaOn(t, 3, 2, 2, zero, third)
	inventor := deltaOn(t, 4, 1, 900, zero)
	l := emptyLedger()
	for _, r := range []*record.Signed{zero, mine, theirs, third, next, ahead, inventor} {
		l.add(r)
	}
	for _, tc := range []struct {
		of   *record.Signed
		want []*record.Signed
	}{
		{mine, []*record.Signed{ahead, theirs}},
		{next, []*record.Signed{ahead}},
	} {
		var got, want []cid.Cid
		for _, d := range l.fresh(l.learned[tc.of.CID], func(*deltaEntry) bool { return true }) {
			got = append(got, d.cid)
		}
		for _, r := range tc.want {
			want = append(want, r.CID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("fresh are %v, want %v", got, want)
		}
	}
}
