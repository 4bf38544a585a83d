package node

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// TestDeltaPublishedAfterTheBackup: an edge publishes a delta, loses its disk before anybody has fetched the blobs, and is restored from a backup
// from before. The record comes back from others. The edge trains the round again, to the same bits, and the federation goes on.
func TestDeltaPublishedAfterTheBackup(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 0, Quorum: 1, Min: 1, Deadline: 60_000})
	super := c.nodes["super"]
	super.start()
	edge := c.join("kitchen", "sensor")
	edge.start()
	edge.until("has a round", func(s *api.Status) bool { return s.Round >= 1 })
	change := func(paused bool) {
		t.Helper()
		if _, err := super.home.ChangePolicy(t.Context(), api.PolicyChange{Paused: &paused}); err != nil {
			t.Fatal(err)
		}
	}
	change(true)
	rest := edge.until("pauses", func(s *api.Status) bool { return s.Phase == phasePaused })
	super.until("has closed the same round", func(s *api.Status) bool { return s.Phase == phasePaused && s.Round == rest.Round })
	edge.halt()
	super.halt()
	file := filepath.Join(t.TempDir(), "kitchen.tar")
	if _, err := edge.home.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}

	// The edge hears that it goes on, and publishes to nobody.
	change(false)
	carry(t, super.home, edge.home, record.KindPolicy)
	edge.start()
	var lost api.Delta
	for deadline := time.Now().Add(time.Minute); lost.Round <= rest.Round; time.Sleep(25 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the edge publishes nothing")
		}
		deltas, err := edge.home.askDeltas(t)
		if err != nil {
			t.Fatal(err)
		}
		lost = deltas[len(deltas)-1]
	}
	edge.halt()
	carry(t, edge.home, super.home, record.KindDelta)

	restored, _, err := Restore(t.Context(), file, filepath.Join(c.dir, "restored"))
	if err != nil {
		t.Fatal(err)
	}
	again := &member{t: t, home: restored, logs: &logBuffer{}}
	super.start()
	again.start()
	again.until("goes on", func(s *api.Status) bool { return s.Round > lost.Round })
	again.halt()
	super.halt()
	checkOneDeltaARoundOf(t, super, lost.Author)
	if d, err := super.source().Delta(t.Context(), lost.CID); err != nil || !d.Components[0].Stored {
		t.Errorf("the delta whose blobs were lost: %+v, %v", d, err)
	}
}

// askDeltas asks the running node.
func (h *Home) askDeltas(t *testing.T) ([]api.Delta, error) {
	client, err := api.Dial(h.Dir)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Deltas(t.Context(), api.Window{})
}

// carry copies records of a kind between two homes that no nodes run on.
func carry(t *testing.T, from, to *Home, kind record.Kind) {
	t.Helper()
	source, err := openStore(from.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := openStore(to.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	for r, err := range source.Records(kind) {
		if err == nil {
			_, err = target.PutRecord(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
