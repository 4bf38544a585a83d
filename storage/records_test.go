package storage_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// texts are the bodies of the records that an iteration yields.
func texts(t testing.TB, s *storage.Store, records func(func(*record.Signed, error) bool)) []string {
	t.Helper()
	var all []string
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		var text string
		if err := record.Decode(r.Body, &text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

func TestRecordSurvivesReopening(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	r := note(t, 1, 1, "hello")
	put(t, s, r)
	if added, err := s.PutRecord(r); err != nil || added {
		t.Errorf("second put: added %v, %v", added, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, home, storage.Options{})
	got, err := s.Record(r.CID)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, want %+v", got, r)
	}
	if !s.HasRecord(r.CID) {
		t.Error("HasRecord is false")
	}
}

func TestAbsentRecord(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	c := record.PayloadCID([]byte("absent"))
	if _, err := s.Record(c); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v, want %v", err, storage.ErrNotFound)
	}
	if s.HasRecord(c) {
		t.Error("HasRecord is true")
	}
}

func TestRecordsComeInOrderOfArrival(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	const n = 150 // more than two pages
	var want []string
	for i := range n {
		text := fmt.Sprint(i)
		put(t, s, note(t, uint64(i%3), uint64(n-i), text)) // sequence numbers fall: they must not matter
		want = append(want, text)
		if i == n/2 { // the order outlives a restart
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, home, storage.Options{})
		}
	}
	put(t, s, noteOf(t, "other", 1, 1000, "of another kind"))

	if got := texts(t, s, s.Records("note")); !slices.Equal(got, want) {
		t.Errorf("of the kind: got %v", got)
	}
	if got := texts(t, s, s.Records("")); !slices.Equal(got, append(want, "of another kind")) {
		t.Errorf("all: got %v", got)
	}
	if got := texts(t, s, s.Records("not")); got != nil {
		t.Errorf("of a kind whose name is the beginning of another's: got %v", got)
	}
	for range s.Records("") {
		break // must not hold anything that Close waits for
	}
}

func TestIterationSeesWhatWasThereWhenItBegan(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	put(t, s, note(t, 1, 1, "first"))
	seen := 0
	for range s.Records("") {
		seen++
		put(t, s, note(t, 1, uint64(seen+1), "written while iterating"))
		if seen > 10 {
			t.Fatal("the iteration chases its own tail")
		}
	}
	if seen != 1 {
		t.Errorf("%d records", seen)
	}
}

func TestByAuthorIsInOrderOfSequenceNumber(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	for _, seq := range []uint64{5, 1, 300, 2, 70} {
		put(t, s, note(t, 1, seq, fmt.Sprint(seq)))
		put(t, s, note(t, 2, seq, "of another author"))
	}
	for name, c := range map[string]struct {
		r    storage.Range
		want []string
	}{
		"all":       {storage.Range{From: 1, To: math.MaxUint64}, []string{"1", "2", "5", "70", "300"}},
		"inclusive": {storage.Range{From: 2, To: 70}, []string{"2", "5", "70"}},
		"one":       {storage.Range{From: 5, To: 5}, []string{"5"}},
		"a gap":     {storage.Range{From: 6, To: 69}, nil},
		"backwards": {storage.Range{From: 70, To: 2}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := texts(t, s, s.ByAuthor(idOf(t, 1), c.r)); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestNextSeq(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	next := func(author uint64) uint64 {
		n, err := s.NextSeq(idOf(t, author))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := next(1); got != 1 {
		t.Errorf("first is %d", got)
	}
	put(t, s, note(t, 1, 7, "a"))
	put(t, s, note(t, 1, 3, "b"))
	put(t, s, note(t, 2, 500, "c"))
	if got := next(1); got != 8 {
		t.Errorf("after 7: %d", got)
	}
}

func TestSameRecordFromManySidesIsAddedOnce(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	const sides, records = 4, 25
	all := make([]*record.Signed, records)
	for i := range all {
		all[i] = note(t, 1, uint64(i+1), "same")
	}
	var added atomic.Int64
	var wg sync.WaitGroup
	for range sides {
		wg.Go(func() {
			for _, r := range all {
				ok, err := s.PutRecord(r)
				if err != nil {
					t.Error(err)
				}
				if ok {
					added.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := added.Load(); got != records {
		t.Errorf("added %d times", got)
	}
	if got := len(texts(t, s, s.Records(""))); got != records {
		t.Errorf("%d records in order of arrival", got)
	}
}

func TestState(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	for key, value := range map[string]string{"rounds/000002/scores": "2", "rounds/000001/scores": "1", "other": "x"} {
		if err := s.Put(key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put("other", []byte("y")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, home, storage.Options{})
	if got, err := s.Get("other"); err != nil || string(got) != "y" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := s.Keys("rounds/"); err != nil || !slices.Equal(got, []string{"rounds/000001/scores", "rounds/000002/scores"}) {
		t.Errorf("keys %v, %v", got, err)
	}
	if err := s.Delete("other"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("other"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	if err := s.Delete("other"); err != nil {
		t.Errorf("deleted twice: %v", err)
	}
	if err := s.Put("big", make([]byte, storage.MaxStateValue+1)); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("large value: %v", err)
	}
	if err := s.Put("big", make([]byte, storage.MaxStateValue)); err != nil {
		t.Errorf("largest value: %v", err)
	}
	if err := s.Put("", nil); err == nil {
		t.Error("an empty key was accepted")
	}
}
