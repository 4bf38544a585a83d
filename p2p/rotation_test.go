package p2p_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// rotate publishes that n's key is replaced, as far as n is told to, stops n, and gives a node on its home and its ports that has the new key.
func (n *node) rotate(publish bool) (*node, *record.Signed) {
	n.t.Helper()
	next := keyOf(n.t, n.name+" anew")
	handed := must[*record.Signed](n.t)(p2p.HandOver(n.store, n.key, next, n.f.id))
	if publish {
		if err := n.Publish(n.t.Context(), handed); err != nil {
			n.t.Fatal(err)
		}
		eventually(n.t, "the members have let go of "+n.name, func() bool {
			for _, m := range n.Members() {
				if m.Connected {
					return false
				}
			}
			return true
		})
	}
	chain := must[[]*record.Signed](n.t)(p2p.Proof(n.store, n.f.id, idOf(n.t, next)))
	heir := &node{t: n.t, f: n.f, name: n.name + " anew", key: next, home: n.home, cfg: n.cfg, proof: chain, log: &logBook{t: n.t, name: n.name + " anew"}}
	heir.cfg.Listen = nil
	for _, a := range n.Addrs() {
		where, _, _ := strings.Cut(a, "/p2p/")
		heir.cfg.Listen = append(heir.cfg.Listen, where)
	}
	n.stop()
	return heir, handed
}

// An edge and then the super-peer that everybody knows the way by replace their keys: the members follow, the old keys are turned away, what they
// wrote stays, and revoking the new identity ends the old one's certificate too.
func TestIdentitiesAreRotated(t *testing.T) {
	f := found(t, "homes")
	hub := f.start("hub", record.RoleSuper)
	edge, other := f.start("edge", record.RoleEdge, hub), f.start("other", record.RoleEdge, hub)
	edge.awaitConnected(hub, other)
	before := edge.publish(1)
	hub.awaitRecord(before)
	formerly, oldProof := edge.ID(), edge.proof

	edge2, handed := edge.rotate(true)
	hub.awaitRecord(handed)
	edge2.start()
	edge2.awaitConnected(hub, other)
	after := edge2.publish(2)
	hub.awaitRecord(after)
	if m, ok := hub.Member(edge2.ID()); !ok || m.Name != "edge" || m.Role != record.RoleEdge {
		t.Errorf("the heir is %+v (%v)", m, ok)
	}
	if _, ok := hub.Member(formerly); ok {
		t.Error("the old identity is still a member")
	}

	thief := &node{t: t, f: f, name: "thief", key: edge.key, home: t.TempDir(), cfg: edge.cfg, proof: oldProof, log: &logBook{t: t, name: "thief"}}
	thief.start()
	eventually(t, "the old key is turned away with the reason", func() bool {
		_, ok := thief.log.line("peer refused this node", "handed over")
		return ok
	})
	if thief.has(before) || thief.has(after) || len(thief.received(record.KindCertificate)) > 0 {
		t.Error("the old key has been given records")
	}
	thief.stop()

	hub2, handed := hub.rotate(true)
	edge2.awaitRecord(handed)
	hub2.start()
	edge2.awaitConnected(hub2)
	other.awaitConnected(hub2)
	late := f.start("late", record.RoleEdge, hub2)
	late.awaitRecord(before)
	late.awaitRecord(after)

	for _, s := range must[[]*record.Signed](t)(p2p.RevokeMember(hub2.store, f.key, f.id, edge2.ID(), "lost")) {
		if err := hub2.Publish(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the heir's connections are cut everywhere", func() bool { return !hub2.connected(edge2) && !other.connected(edge2) && !late.connected(edge2) })
}

// Two sides of a partition hear of different heirs of one key. Healed, both know none, and the founder's certificate for one settles it.
func TestRotationsOnBothSidesOfAPartition(t *testing.T) {
	f := found(t, "homes")
	left := f.start("left", record.RoleSuper)
	edge := f.start("edge", record.RoleEdge, left)
	edge.awaitConnected(left)
	stolen := &node{t: t, f: f, name: "stolen", key: edge.key, home: t.TempDir(), cfg: edge.cfg, proof: edge.proof, log: &logBook{t: t, name: "stolen"}}
	stolen.cfg.Bootstrap = nil
	stolen.start()
	thief := keyOf(t, "thief")
	theft := must[*record.Signed](t)(p2p.HandOver(stolen.store, stolen.key, thief, f.id))
	stolen.stop()

	mine, _ := edge.rotate(true)
	mine.start()
	mine.awaitConnected(left)
	right := f.start("right", record.RoleSuper)
	if err := right.Publish(t.Context(), mine.proof[0]); err != nil { // the edge's certificate, which the theft rests on
		t.Fatal(err)
	}
	if err := right.Publish(t.Context(), theft); err != nil {
		t.Fatal(err)
	}
	if _, ok := right.Member(idOf(t, thief)); !ok {
		t.Fatal("where nobody has heard of the owner, the thief is no member")
	}
	meet := f.start("meet", record.RoleSuper, left, right)
	meet.awaitConnected(left, right)
	for _, n := range []*node{left, right, meet} {
		eventually(t, n.name+" knows no heir", func() bool {
			_, owner := n.Member(mine.ID())
			_, other := n.Member(idOf(t, thief))
			return !owner && !other
		})
	}
	eventually(t, "the owner is cut off", func() bool { return !left.connected(mine) })

	renewed := must[*record.Signed](t)(p2p.Renew(left.store, f.key, f.id, mine.ID(), time.Now().Add(2*time.Hour)))
	if err := left.Publish(t.Context(), renewed); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{left, right, meet} {
		eventually(t, n.name+" knows the owner", func() bool {
			_, owner := n.Member(mine.ID())
			_, other := n.Member(idOf(t, thief))
			return owner && !other
		})
	}
}
