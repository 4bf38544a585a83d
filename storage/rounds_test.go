package storage_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// deltaOf is a delta of a round.
func deltaOf(t testing.TB, author, round uint64) *record.Signed {
	t.Helper()
	blob := record.Blob{CID: record.BlobCID([]byte("x")), Bytes: 1}
	kind, body, err := record.NewBody(&record.Delta{
		Round: round, Base: blob.CID, Modalities: []string{"a"}, Rows: 1,
		Components: []record.Component{{Name: "lora", Signature: "s", Blob: blob, Codec: "f32", Params: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Sign(keyOf(t, author), record.Record{Kind: kind, Federation: record.PayloadCID(nil), Seq: round, Parents: []cid.Cid{record.PayloadCID(nil)}, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecordsByRound(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	for _, d := range [][2]uint64{{1, 3}, {2, 1}, {1, 2}, {2, 2}, {1, 300}, {1, 1}} {
		put(t, s, deltaOf(t, d[0], d[1]))
	}
	put(t, s, note(t, 9, 1, "of no round"))
	var rounds []uint64
	for r, err := range s.ByRound(record.KindDelta, storage.Range{From: 2, To: 300}) {
		if err != nil {
			t.Fatal(err)
		}
		round, _ := r.Round()
		rounds = append(rounds, round)
	}
	if want := []uint64{2, 2, 3, 300}; !slices.Equal(rounds, want) {
		t.Errorf("rounds %v, want %v", rounds, want)
	}
	for n, want := range map[int]uint64{1: 300, 2: 3, 3: 2, 4: 2, 5: 1, 6: 1, 7: 0, 0: 0} {
		if got, err := s.NewestRound(record.KindDelta, n); err != nil || got != want {
			t.Errorf("newest %d: round %d, %v; want %d", n, got, err, want)
		}
	}
	if got, err := s.NewestRound(record.KindAggregate, 1); err != nil || got != 0 {
		t.Errorf("of none: round %d, %v", got, err)
	}
}

func TestRecordsAreFoundByTheBeginningOfTheirCID(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	var all []*record.Signed
	for seq := range uint64(60) {
		all = append(all, note(t, 1, seq+1, "x"))
	}
	putAll(t, s, all)
	slices.SortFunc(all, func(a, b *record.Signed) int { return bytes.Compare(a.CID.Bytes(), b.CID.Bytes()) })
	var names []string
	for _, r := range all {
		names = append(names, r.CID.String())
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "name")
		prefix := name[:rapid.IntRange(1, len(name)).Draw(t, "length")]
		var want []string
		for _, n := range names {
			if strings.HasPrefix(n, prefix) {
				want = append(want, n)
			}
		}
		limit := rapid.IntRange(1, 70).Draw(t, "limit")
		found, err := s.Named(prefix, limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range found {
			got = append(got, c.String())
		}
		if want = want[:min(len(want), limit)]; !slices.Equal(got, want) {
			t.Fatalf("%q: %v, want %v", prefix, got, want)
		}
	})
	for _, prefix := range []string{"", "x", "b1", "bafyreiZ", names[0] + "a", "Qm", "b\xff"} {
		if found, err := s.Named(prefix, 9); err != nil || len(found) != 0 {
			t.Errorf("%q: %v, %v", prefix, found, err)
		}
	}
}
