package p2p_test

import (
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// TestMissingParentsAreAGap: a record whose parents are not here makes a node sync with whoever sent it, as one does whose author's last one is not.
func TestMissingParentsAreAGap(t *testing.T) {
	f := found(t, "gap")
	n := f.prepare("n", record.RoleSuper)
	n.open()
	defer n.Close()
	first := n.delta(0)
	must[bool](t)(n.store.PutRecord(first))
	lost := n.delta(1)
	of := func(seq uint64, parents ...cid.Cid) *record.Signed {
		return sign(t, n.key, f.id, seq, &record.Delta{Round: 2, Base: record.BlobCID([]byte("base"))}, parents...)
	}
	for _, tc := range []struct {
		name string
		r    *record.Signed
		want bool
	}{
		{"nothing is missing", of(2, first.CID), false},
		{"one of two parents", of(2, first.CID, lost.CID), true},
		{"the author's last record", of(3, first.CID), true},
	} {
		if got := n.LeavesGap(tc.r); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestFullDiskIsNotBlamedOnAuthors: what a node could not store does not use up its author's quota.
func TestFullDiskIsNotBlamedOnAuthors(t *testing.T) {
	f := found(t, "disk")
	a := f.prepare("a", record.RoleEdge)
	a.open()
	defer a.Close()
	b := f.prepare("b", record.RoleEdge)
	b.cfg.Quota = p2p.Quota{Records: 2}
	b.open()
	defer b.Close()
	must[int](t)(b.store.PutRecords(a.proof))
	if err := b.AcceptGossip(a.proof[0].Envelope, a.ID()); err != nil {
		t.Fatal(err)
	}
	deltas := make([]*record.Signed, 4)
	for i := range deltas {
		body := &record.Delta{Round: uint64(i), Base: record.BlobCID([]byte("base")), Modalities: []string{"accel"}}
		deltas[i] = sign(t, a.key, f.id, uint64(i+1), body)
	}
	for i, d := range deltas[:2] {
		if err := b.AcceptGossip(d.Envelope, a.ID()); err != nil {
			t.Fatalf("delta %d: %v", i, err)
		}
	}
	if err := b.AcceptGossip(deltas[2].Envelope, a.ID()); !p2p.IsQuota(err) {
		t.Fatalf("a third delta: %v, want that the quota is used up", err)
	}

	c := f.prepare("c", record.RoleEdge)
	c.cfg.Quota = b.cfg.Quota
	c.open()
	defer c.Close()
	must[int](t)(c.store.PutRecords(a.proof))
	if err := c.AcceptGossip(a.proof[0].Envelope, a.ID()); err != nil {
		t.Fatal(err)
	}
	if err := c.store.Close(); err != nil {
		t.Fatal(err)
	}
	for i, d := range deltas {
		if err := c.AcceptGossip(d.Envelope, a.ID()); err == nil || p2p.IsQuota(err) {
			t.Errorf("delta %d with a store that takes nothing: %v", i, err)
		}
	}
}
