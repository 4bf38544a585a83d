package p2p_test

import (
	"context"
	"testing"

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
