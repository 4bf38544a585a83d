package p2p

import (
	"slices"
	"testing"

	"github.com/mlecs/mlecs/storage/record"
)

func TestFeedKeepsOrderWhileItsSubscriberIsBusy(t *testing.T) {
	const n = 10_000
	busy := make(chan struct{})
	done := make(chan []uint64)
	var got []uint64
	d := startFeed(func(r *record.Signed) {
		<-busy
		if got = append(got, r.Seq); len(got) == n {
			done <- got
		}
	})
	for i := range n {
		d.push(&record.Signed{Record: record.Record{Seq: uint64(i)}}) // never blocks
	}
	close(busy)
	if got := <-done; !slices.IsSorted(got) {
		t.Error("records arrived out of order")
	}
	d.close()
	<-d.done
}

func TestFeedEndsFromInsideItsCallback(t *testing.T) {
	calls := 0
	var d *feed
	ready := make(chan struct{})
	d = startFeed(func(*record.Signed) {
		<-ready
		calls++
		d.close()
	})
	close(ready)
	for range 3 {
		d.push(&record.Signed{})
	}
	<-d.done
	if calls != 1 {
		t.Errorf("called %d times after the cancel", calls-1)
	}
	d.push(&record.Signed{}) // and a late push is dropped
}
