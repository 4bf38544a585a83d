package node

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/storage/record"
)

// aggregateWith is an aggregate on another one, or on the genesis if that is nil, of deltas of its own round.
func aggregateWith(t testing.TB, seed byte, seq, round uint64, before *record.Signed, inputs ...string) *record.Signed {
	body := &record.Aggregate{Round: round}
	for i, in := range inputs {
		body.Inputs = append(body.Inputs, record.Input{
			Delta: record.PayloadCID([]byte(in)), Round: round, Author: idOf(t, byte(100+i)), Modalities: []string{"image"}, Weight: 1 / float64(len(inputs)),
		})
	}
	parent := someFederation
	if before != nil {
		parent = before.CID
	}
	return sign(t, seed, seq, int64(seq), body, parent)
}

func deltaOf(t testing.TB, seed byte, seq, round uint64) *record.Signed {
	return sign(t, seed, seq, int64(seq), &record.Delta{
		Round: round, Base: record.BlobCID([]byte("base")), Modalities: []string{"image"}, Rows: 3,
		Components: []record.Component{{Name: "lora", Signature: "s", Codec: adapter.CodecSafetensors, Params: 2, Blob: blobOf("lora")}},
	})
}

func lower(a, b *record.Signed) *record.Signed {
	if bytes.Compare(a.CID.Bytes(), b.CID.Bytes()) < 0 {
		return a
	}
	return b
}

func TestForkChoice(t *testing.T) {
	zero := aggregateWith(t, 9, 1, 0, nil)
	older := aggregateWith(t, 1, 2, 3, zero, "a", "b", "c")
	few, many := aggregateWith(t, 1, 1, 4, older, "d"), aggregateWith(t, 2, 1, 4, older, "d", "e")
	twin := aggregateWith(t, 3, 1, 4, older, "d", "e")
	newer := aggregateWith(t, 1, 3, 5, few, "f")
	again, empty := aggregateWith(t, 4, 1, 5, many, "d"), aggregateWith(t, 4, 2, 5, many)
	rootless, back := aggregateWith(t, 4, 3, 9, deltaOf(t, 4, 9, 8), "g"), aggregateWith(t, 4, 4, 3, newer, "g")
	cases := []struct {
		name     string
		records  []*record.Signed
		unusable *record.Signed
		want     *record.Signed
	}{
		{"nothing yet", nil, nil, nil},
		{"the only one", []*record.Signed{zero}, nil, zero},
		{"more inputs win", []*record.Signed{zero, older, few, many}, nil, many},
		{"then the lower CID", []*record.Signed{zero, older, many, twin, few}, nil, lower(many, twin)},
		{"a later round wins over more inputs", []*record.Signed{zero, newer, older, many, few}, nil, newer},
		{"rounds may be missing between two", []*record.Signed{zero, older}, nil, older},
		{"an unusable one is passed over", []*record.Signed{zero, older, few, many}, many, few},
		{"the round before, if all of a round are unusable", []*record.Signed{zero, older, few}, few, older},
		{"not before all that it builds on is here", []*record.Signed{zero, newer, few}, nil, zero},
		{"none that counts a delta twice", []*record.Signed{zero, older, many, again}, nil, many},
		{"none without a delta of its round", []*record.Signed{zero, older, many, empty}, nil, many},
		{"none that does not come from the genesis", []*record.Signed{zero, rootless}, nil, zero},
		{"none that goes back", []*record.Signed{zero, older, few, newer, back}, newer, few},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for range 5 { // whatever order they come in, and how often
				l := emptyLedger()
				for _, i := range rand.Perm(2 * len(tc.records)) {
					l.add(tc.records[i/2])
				}
				got := l.newest(func(c cid.Cid) bool { return tc.unusable != nil && tc.unusable.CID == c })
				if tc.want == nil {
					if got != nil {
						t.Fatalf("got %s, want none", got.cid)
					}
					continue
				}
				if got == nil || got.cid != tc.want.CID {
					t.Fatalf("got %v, want %s", got, tc.want.CID)
				}
			}
		})
	}
}

func TestLedgerFindsOwnDelta(t *testing.T) {
	l := emptyLedger()
	mine, theirs := deltaOf(t, 1, 1, 2), deltaOf(t, 2, 1, 2)
	l.add(theirs)
	if d := l.own(idOf(t, 1), 2); d != nil {
		t.Errorf("found %s before it was there", d.cid)
	}
	l.add(mine)
	if d := l.own(idOf(t, 1), 2); d == nil || d.cid != mine.CID {
		t.Errorf("got %v, want %s", d, mine.CID)
	}
	if d := l.own(idOf(t, 1), 3); d != nil {
		t.Errorf("found %s in another round", d.cid)
	}
}

func TestLedgerTellsOfChanges(t *testing.T) {
	l := emptyLedger()
	changed := l.next()
	r := deltaOf(t, 1, 1, 1)
	l.add(r)
	select {
	case <-changed:
	default:
		t.Fatal("a new record did not wake the waiting")
	}
	changed = l.next()
	l.add(r)
	select {
	case <-changed:
		t.Error("a known record woke the waiting")
	default:
	}
	if l.count() != 1 {
		t.Errorf("%d records, want 1", l.count())
	}
}

func TestLedgerReadsTheStore(t *testing.T) {
	s := newStore(t)
	want := []*record.Signed{aggregateWith(t, 1, 1, 0, nil), deltaOf(t, 2, 1, 1), deltaOf(t, 3, 1, 1)}
	for _, r := range want {
		if _, err := s.PutRecord(r); err != nil {
			t.Fatal(err)
		}
	}
	l, err := newLedger(s)
	if err != nil {
		t.Fatal(err)
	}
	if n := l.count(); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
	if a := l.newest(nil); a == nil || a.cid != want[0].CID {
		t.Errorf("newest aggregate is %v", a)
	}
	var authors []peer.ID
	for _, d := range l.round(1) {
		authors = append(authors, d.Author)
	}
	if len(authors) != 2 || authors[0] >= authors[1] {
		t.Errorf("deltas of round 1 are by %v, want two in order", authors)
	}
}

func TestQuorum(t *testing.T) {
	cases := []struct {
		name   string
		policy record.RoundPolicy
		live   int
		want   int
	}{
		{"all of the live edges", record.RoundPolicy{Quorum: 1}, 4, 4},
		{"a share is rounded up", record.RoundPolicy{Quorum: 0.5}, 5, 3},
		{"a whole share is not", record.RoundPolicy{Quorum: 0.7}, 10, 7},
		{"never none", record.RoundPolicy{Quorum: 0}, 4, 1},
		{"nobody is there", record.RoundPolicy{Quorum: 1}, 0, 1},
		{"the minimum counts when few are live", record.RoundPolicy{Quorum: 1, Min: 3}, 1, 3},
		{"an absurd minimum stays a number", record.RoundPolicy{Quorum: 1, Min: 1 << 63}, 1, record.MaxInputs},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := quorumOf(tc.policy, tc.live); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

// A round takes one delta an author: its own, or the newest late one that no round before has counted.
func TestCandidates(t *testing.T) {
	late, early, both := deltaOf(t, 1, 1, 4), deltaOf(t, 2, 1, 4), deltaOf(t, 3, 1, 4)
	fresh, old, older := deltaOf(t, 3, 2, 5), deltaOf(t, 4, 1, 3), deltaOf(t, 5, 1, 2)
	counting := func(seq, round uint64, before *record.Signed, inputs ...*record.Signed) *record.Signed {
		body := &record.Aggregate{Round: round}
		for _, in := range inputs {
			body.Inputs = append(body.Inputs, record.Input{Delta: in.CID, Author: in.Author, Modalities: []string{"image"}})
		}
		return sign(t, 9, seq, int64(seq), body, before.CID)
	}
	first := aggregateWith(t, 9, 1, 2, nil)
	won := counting(3, 4, counting(2, 3, first, older), early)
	lost := counting(4, 4, first, late)
	l := emptyLedger()
	for _, r := range []*record.Signed{first, counting(2, 3, first, older), won, lost, late, early, both, fresh, old, older} {
		l.add(r)
	}
	var before *aggregateEntry
	for _, a := range l.aggregates[4] {
		if a.cid == won.CID {
			before = a
		}
	}
	all := func(*deltaEntry) bool { return true }
	for _, tc := range []struct {
		name   string
		maxAge uint64
		fits   func(*deltaEntry) bool
		want   []*record.Signed
	}{
		{"none that is late", 0, all, []*record.Signed{fresh}},
		{"one round late", 1, all, []*record.Signed{fresh, late}},
		{"late enough for all", 9, all, []*record.Signed{fresh, late, old}}, // early and older are counted, both has a newer one
		{"an author's older one if the newest is of no use", 1, func(d *deltaEntry) bool { return d.cid != fresh.CID }, []*record.Signed{late, both}},
	} {
		var got []string
		for _, d := range l.candidates(5, before, tc.maxAge, tc.fits) {
			got = append(got, d.cid.String())
		}
		var want []string
		for _, r := range tc.want {
			want = append(want, r.CID.String())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d candidates %v, want %d: %v", tc.name, len(got), got, len(want), want)
		}
	}
}

// rounds gives the newest aggregate and all that it builds on, one a round, the oldest first.
func (l *ledger) rounds() []*aggregateEntry {
	list := slices.Collect(l.back())
	slices.Reverse(list)
	return list
}

// round gives all deltas of a round, in order of author and CID.
func (l *ledger) round(r uint64) []*deltaEntry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.deltas[r])
}
