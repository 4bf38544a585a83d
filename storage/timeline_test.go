package storage_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// noteAt is a note that its author dates to a time.
func noteAt(t testing.TB, created int64, text string) *record.Signed {
	t.Helper()
	body, err := record.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Sign(keyOf(t, 1), record.Record{Kind: "note", Federation: record.PayloadCID(nil), Seq: 1, Created: created, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTimelineHasMembershipFirstThenTheAuthorsClocks(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	late, early := noteAt(t, 2000, "late"), noteAt(t, 1000, "early")
	_, body, err := record.NewBody(&record.Certificate{Subject: idOf(t, 2), Role: record.RoleEdge, Expires: 1})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := record.Sign(keyOf(t, 1), record.Record{Kind: record.KindCertificate, Federation: record.PayloadCID(nil), Seq: 2, Created: 3000, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, late)
	timeline(t, s) // in use from here on: what comes later is added to it
	put(t, s, early)
	put(t, s, certificate)
	if got, want := timeline(t, s), []cid.Cid{certificate.CID, early.CID, late.CID}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func timeline(t testing.TB, s *storage.Store) (ids []cid.Cid) {
	t.Helper()
	keys, err := s.Timeline(nil, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		ids = append(ids, k.CID())
	}
	return ids
}

func TestSumsOfPartsMakeTheWholeAndDoNotDependOnArrival(t *testing.T) {
	one, other := open(t, t.TempDir(), storage.Options{}), open(t, t.TempDir(), storage.Options{})
	var all []*record.Signed
	for i := range 1500 { // several chunks
		all = append(all, noteAt(t, int64(1000+i%700), fmt.Sprint(i)))
	}
	for list := range slices.Chunk(all, storage.MaxPut) {
		putAll(t, one, list)
	}
	total(t, one, nil, nil)
	slices.Reverse(all)
	total(t, other, nil, nil) // one reads its timeline from the index, the other adds to it
	for list := range slices.Chunk(all, storage.MaxPut) {
		putAll(t, other, list)
	}
	keys, err := one.Timeline(nil, nil, len(all)+1)
	if err != nil || len(keys) != len(all) || !slices.IsSortedFunc(keys, func(a, b storage.Key) int { return bytes.Compare(a[:], b[:]) }) {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	rapid.Check(t, func(t *rapid.T) {
		at := func(name string) int { return rapid.IntRange(0, len(keys)-1).Draw(t, name) }
		i, j := at("from"), at("to")
		from, to := keys[min(i, j)], keys[max(i, j)]
		inside := total(t, one, from[:], to[:])
		if inside.Count != uint64(max(i, j)-min(i, j)) {
			t.Fatalf("%d records from %d to %d", inside.Count, i, j)
		}
		if inside != total(t, other, from[:], to[:]) {
			t.Fatal("the order of arrival matters")
		}
		sum := total(t, one, nil, from[:])
		sum.Merge(inside)
		sum.Merge(total(t, one, to[:], nil))
		if sum != total(t, one, nil, nil) {
			t.Fatal("the parts do not make the whole")
		}
		parts := rapid.IntRange(1, 20).Draw(t, "parts")
		cuts, err := one.Split(from[:], to[:], parts)
		if err != nil || len(cuts) > parts-1 {
			t.Fatalf("%d cuts for %d parts, %v", len(cuts), parts, err)
		}
		if inside.Count < uint64(parts) {
			return
		}
		for n, cut := range cuts {
			share := int(inside.Count) * (n + 1) / parts
			if got := total(t, one, from[:], cut); got.Count != uint64(share) {
				t.Fatalf("cut %d of %d parts of %d records is after %d", n, parts, inside.Count, got.Count)
			}
			if shorter := total(t, one, from[:], cut[:len(cut)-1]); shorter.Count == uint64(share) {
				t.Fatalf("cut %d, %x, could be shorter", n, cut)
			}
		}
	})
}

func total(t rapid.TB, s *storage.Store, from, to []byte) storage.Sum {
	t.Helper()
	sum, err := s.Sum(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func putAll(t testing.TB, s *storage.Store, list []*record.Signed) {
	t.Helper()
	if _, err := s.PutRecords(list); err != nil {
		t.Fatal(err)
	}
}

func TestManyRecordsAreStoredAtOnceOrNotAtAll(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	first := note(t, 1, 1, "here before")
	put(t, s, first)
	list := []*record.Signed{first}
	for seq := range uint64(storage.MaxPut) {
		list = append(list, note(t, 2, seq+1, "x"))
	}
	if _, err := s.PutRecords(list); err == nil || s.Count() != 1 {
		t.Errorf("more than are allowed: %v, %d records", err, s.Count())
	}
	if added, err := s.PutRecords(list[:storage.MaxPut]); err != nil || added != storage.MaxPut-1 || s.Count() != storage.MaxPut {
		t.Errorf("added %d, %v, %d records", added, err, s.Count())
	}
}
