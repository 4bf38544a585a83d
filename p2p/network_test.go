package p2p_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

func TestRecordReachesEveryMember(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	nodes := []*node{super, f.start("a", record.RoleEdge, super), f.start("b", record.RoleEdge, super), f.start("c", record.RoleEdge, super)}
	for i, n := range nodes {
		n.awaitConnected(nodes[i+1:]...) // edges know only the super-peer at first: it introduces them
	}
	for _, from := range nodes {
		r := from.publish(1)
		for _, n := range nodes {
			n.awaitRecord(r)
			eventually(t, n.name+"'s subscriber has the record of "+from.name, func() bool {
				got := n.received(record.KindDelta)
				return len(got) > 0 && got[len(got)-1].CID == r.CID
			})
		}
	}
	for _, n := range nodes {
		if got := n.received(record.KindDelta); len(got) != len(nodes) {
			t.Errorf("%s's subscriber got %d deltas, want each of %d once", n.name, len(got), len(nodes))
		}
		if members := n.Members(); len(members) != len(nodes) || members[0].Name != "a" {
			t.Errorf("%s knows members %v", n.name, members)
		}
		if traffic := n.Traffic(); traffic.RejectedRecords != 0 || traffic.RefusedPeers != 0 || traffic.Sent == 0 || traffic.Received == 0 {
			t.Errorf("%s: traffic %+v", n.name, traffic)
		}
	}
	eventually(t, "round trips are measured and the mesh is known", func() bool {
		for _, p := range super.Peers() {
			if p.RTT == 0 || !p.InMesh || p.Role != record.RoleEdge || p.Sent == 0 || p.Received == 0 {
				return false
			}
		}
		return len(super.Peers()) == 3
	})
}

func TestRestartedNodeReturnsWithoutBootstrap(t *testing.T) {
	f := found(t, "homes")
	first := f.start("first", record.RoleSuper)
	a := f.start("a", record.RoleEdge, first)
	b := f.start("b", record.RoleEdge, first)
	a.awaitConnected(first, b)
	b.awaitConnected(first)
	eventually(t, "addresses are kept", func() bool {
		keys, err := b.store.Keys("p2p/contacts/")
		return err == nil && len(keys) == 2
	})
	b.stop()
	eventually(t, "a sees b leave", func() bool { return !a.connected(b) })
	first.stop()
	missed := a.publish(1)
	b.cfg.Bootstrap = nil
	b.start()
	b.awaitConnected(a)
	b.awaitRecord(missed)
	again := b.publish(1)
	a.awaitRecord(again)
}

func TestPartitionHeals(t *testing.T) {
	f := found(t, "homes")
	a := f.start("a", record.RoleSuper)
	b := f.start("b", record.RoleEdge, a)
	c := f.start("c", record.RoleSuper, a)
	d := f.start("d", record.RoleEdge, a)
	here, there := []*node{a, b}, []*node{c, d}
	for _, n := range here {
		n.awaitConnected(there...)
	}
	across := func(do func(n, other *node)) {
		for _, n := range here {
			for _, other := range there {
				do(n, other)
				do(other, n)
			}
		}
	}
	across(func(n, other *node) { n.Block(other.ID()) })
	across(func(n, other *node) {
		eventually(t, n.name+" and "+other.name+" apart", func() bool { return !n.connected(other) })
	})
	var records []*record.Signed
	for round := range uint64(3) {
		for _, n := range []*node{a, b, c, d} {
			records = append(records, n.publish(round))
		}
	}
	for i, r := range records {
		[]*node{b, a, d, c}[i%4].awaitRecord(r) // within each half they go around
	}
	across(func(n, other *node) {
		if n.has(records[len(records)-1]) && n.has(records[0]) {
			t.Errorf("%s has records of both halves: there was no partition", n.name)
		}
	})
	across(func(n, other *node) { n.Unblock(other.ID()) })
	for _, n := range []*node{a, b, c, d} {
		for _, r := range records {
			n.awaitRecord(r)
		}
		eventually(t, n.name+"'s subscriber has all records", func() bool { return len(n.received(record.KindDelta)) == len(records) })
		if refused := n.Traffic().RejectedRecords; refused != 0 {
			t.Errorf("%s rejected %d records", n.name, refused)
		}
	}
}

// The wire carries a record's bytes; tensors are fetched, from whoever forwarded the record if possible.
func TestBlobIsFetchedElsewhereIfAPeerServesOtherBytes(t *testing.T) {
	f := found(t, "homes")
	author := f.start("author", record.RoleEdge)
	holder := f.start("holder", record.RoleEdge, author)
	wanter := f.start("wanter", record.RoleSuper, author)
	wanter.awaitConnected(author, holder)
	holder.awaitConnected(author)
	tensor := bytes.Repeat([]byte("tensor"), 1<<16)
	blob := must[record.Blob](t)(author.store.PutBlobBytes(tensor))
	r := author.delta(1, blob)
	if err := author.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	wanter.awaitRecord(r)
	if err := holder.FetchBlob(t.Context(), blob, nil, nil); err != nil {
		t.Fatal(err)
	}
	path := holder.store.BlobPath(blob.CID)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("tenser"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	var seen int64
	if err := wanter.FetchBlob(t.Context(), blob, []peer.ID{holder.ID()}, func(done, total int64) { seen = done }); err != nil {
		t.Fatal(err)
	}
	if got := must[[]byte](t)(wanter.store.ReadBlob(blob.CID, 1<<30)); !bytes.Equal(got, tensor) || seen != blob.Bytes {
		t.Errorf("got %d bytes, progress said %d", len(got), seen)
	}
	if n := wanter.Traffic().RejectedBlobs; n != 1 {
		t.Errorf("%d rejected blobs counted, want 1", n)
	}
	if _, logged := wanter.log.line("level=WARN", "blob rejected", holder.ID().String()); !logged {
		t.Error("the peer that served other bytes is not named in the log")
	}
}

func TestTargetsArePublicToSuperPeersOnly(t *testing.T) {
	f := found(t, "homes", func(g *record.Federation, s *storage.Store) {
		g.Data.Targets = must[record.Blob](t)(s.PutBlobBytes([]byte(`{"id":"1","target":"fall"}`)))
	})
	targets := must[*record.Federation](t)(record.BodyAs[record.Federation](f.genesis)).Data.Targets
	first := f.start("first", record.RoleSuper)
	must[record.Blob](t)(first.store.PutBlobBytes(must[[]byte](t)(f.store.ReadBlob(targets.CID, 1<<20))))
	second, edge := f.start("second", record.RoleSuper, first), f.start("edge", record.RoleEdge, first)
	second.awaitConnected(first)
	edge.awaitConnected(first, second)
	if err := second.FetchBlob(t.Context(), targets, nil, nil); err != nil {
		t.Errorf("a super-peer: %v", err)
	}
	if err := edge.FetchBlob(t.Context(), targets, nil, nil); !errors.Is(err, p2p.ErrUnavailable) {
		t.Errorf("an edge: %v", err)
	}
}

func TestPublishRefusesWhatMembersWouldReject(t *testing.T) {
	f := found(t, "homes")
	edge := f.start("edge", record.RoleEdge)
	for _, c := range []struct {
		name string
		r    *record.Signed
	}{
		{"an aggregate by an edge", sign(t, edge.key, f.id, 1, &record.Aggregate{Round: 1})},
		{"a delta by nobody known", sign(t, keyOf(t, "nobody"), f.id, 1, &record.Delta{Base: f.id, Modalities: []string{"accel"}})},
		{"a revocation by an edge", sign(t, edge.key, f.id, 1, &record.Revocation{Certificate: edge.proof[0].CID})},
		{"a record of another federation", sign(t, edge.key, record.PayloadCID([]byte("x")), 1, &record.Delta{Base: f.id, Modalities: []string{"accel"}})},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := edge.Publish(context.Background(), c.r); err == nil {
				t.Error("published")
			}
			if edge.has(c.r) {
				t.Error("stored")
			}
		})
	}
	first := edge.publish(1)
	second := sign(t, edge.key, f.id, first.Seq, &record.Delta{Round: 9, Base: f.id, Modalities: []string{"accel"}})
	if err := edge.Publish(context.Background(), second); err == nil {
		t.Error("published a second record with the same sequence number")
	}
}
