package p2p_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// joined is a node that became a member by a token.
func (f *federation) joined(name string, token p2p.Token) *node {
	f.t.Helper()
	n := &node{t: f.t, f: f, name: name, key: keyOf(f.t, name), home: f.t.TempDir(), log: &logBook{t: f.t, name: name}}
	n.cfg = p2p.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Bootstrap: token.Bootstrap}
	n.store = openStore(f.t, n.home)
	n.proof = must[[]*record.Signed](f.t)(p2p.Join(f.t.Context(), n.key, name, n.store, token, nil))
	n.store.Close()
	n.start()
	return n
}

// A super-peer that the founder made a delegate admits an edge by a token of its own, renews it, and puts it out; every member follows.
func TestDelegationEndToEnd(t *testing.T) {
	f := found(t, "homes")
	first := f.start("first", record.RoleSuper)
	token := must[p2p.Token](t)(p2p.NewDelegateInvite(f.store, f.key, f.id, time.Now().Add(time.Hour), first.Addrs()))
	boss := f.joined("boss", token)
	boss.awaitConnected(first)
	plain := f.start("plain", record.RoleSuper, first)
	if _, err := p2p.NewInvite(plain.store, plain.key, f.id, record.RoleEdge, time.Now().Add(time.Minute), plain.Addrs()); err == nil || !strings.Contains(err.Error(), "no delegate") {
		t.Errorf("a plain super-peer invites: %v", err)
	}
	invite := must[p2p.Token](t)(p2p.NewInvite(boss.store, boss.key, f.id, record.RoleEdge, time.Now().Add(365*24*time.Hour), boss.Addrs()))
	edge := f.joined("edge", must[p2p.Token](t)(p2p.ParseToken(invite.String())))
	edge.awaitConnected(first, boss, plain)
	m, ok := first.Member(edge.ID())
	if !ok || m.Role != record.RoleEdge || m.Expires.After(time.Now().Add(time.Hour)) {
		t.Errorf("the edge is %+v (%v); it must not outlive the delegate", m, ok)
	}
	renewed := must[*record.Signed](t)(p2p.Renew(boss.store, boss.key, f.id, edge.ID(), time.Now().Add(2*time.Hour)))
	if err := boss.Publish(t.Context(), renewed); err != nil {
		t.Fatal(err)
	}
	first.awaitRecord(renewed)
	for _, x := range first.Memberships() {
		if x.ID == edge.ID() && (x.Name != "edge" || x.Ended != "" || x.Since.IsZero() || time.Since(x.Seen) > time.Minute) {
			t.Errorf("the edge's membership is %+v", x)
		}
	}
	out := must[[]*record.Signed](t)(p2p.RevokeMember(boss.store, boss.key, f.id, edge.ID(), "sold"))
	if len(out) != 2 { // the invite that it came from, and the renewal
		t.Fatalf("%d revocations", len(out))
	}
	for _, s := range out {
		if err := boss.Publish(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "everybody has cut the edge off", func() bool {
		for _, n := range []*node{first, boss, plain} {
			for _, p := range n.Peers() {
				if p.ID == edge.ID() {
					return false
				}
			}
		}
		return true
	})
	for _, x := range first.Memberships() {
		if x.ID == edge.ID() && (x.Revoked.IsZero() || x.Ended == "") {
			t.Errorf("the revoked edge's membership is %+v", x)
		}
	}
	if _, err := p2p.Renew(boss.store, boss.key, f.id, edge.ID(), time.Now().Add(3*time.Hour)); err == nil {
		t.Error("a revoked member is renewed")
	}
	if _, err := p2p.RevokeMember(boss.store, boss.key, f.id, idOf(t, keyOf(t, "nobody")), ""); !errors.Is(err, p2p.ErrNoMember) {
		t.Errorf("revoking nobody: %v", err)
	}
}

// An unused invite is listed by its key's id, and can be revoked by it.
func TestUnusedInviteIsRevoked(t *testing.T) {
	f := found(t, "homes")
	first := f.start("first", record.RoleSuper)
	token := f.invite(record.RoleEdge, first.Addrs()...)
	list := must[[]p2p.Membership](t)(p2p.Memberships(f.store, f.id))
	var unused []p2p.Membership
	for _, m := range list {
		if m.Invite {
			unused = append(unused, m)
		}
	}
	if len(unused) != 1 || unused[0].ID != idOf(t, token.Key) {
		t.Fatalf("unused invites %+v", unused)
	}
	for _, s := range must[[]*record.Signed](t)(p2p.RevokeMember(f.store, f.key, f.id, unused[0].ID, "")) {
		if err := first.Publish(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	store := openStore(t, t.TempDir())
	if _, err := p2p.Join(t.Context(), keyOf(t, "late"), "late", store, token, nil); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("joining by a revoked invite: %v", err)
	}
}

// A flood of short rounds is taken up to the quota of a minute, and blamed on its author alone: not on the member that handed it on.
func TestFloodIsNotBlamedOnWhoRelaysIt(t *testing.T) {
	f := found(t, "homes")
	relay := f.start("relay", record.RoleSuper)
	far := f.prepare("far", record.RoleSuper, relay)
	far.cfg.Quota.MinuteRecords = 20
	far.start()
	flooder := f.prepare("flooder", record.RoleEdge, relay)
	flooder.cfg.Limits.Members = 1
	flooder.start()
	flooder.awaitConnected(relay)
	far.awaitConnected(relay)
	far.Block(flooder.ID())
	eventually(t, "the flooder reaches the far member through the other one only", func() bool { return !far.connected(flooder) })
	var last *record.Signed
	for range 200 {
		last = flooder.publish(1)
	}
	relay.awaitRecord(last)
	far.awaitRecord(last) // by sync, which no minute holds back
	for _, p := range far.Peers() {
		if p.Faults != 0 || p.Gray {
			t.Errorf("%s has faults of %v", p.Name, p.Faults)
		}
	}
	if _, ok := far.log.line("record beyond its author's quota", flooder.ID().String()); !ok {
		t.Error("all 200 records came by gossip")
	}
}

// A member that has much to write at once, as a delegate that admits hundreds, keeps to the quota itself: others get the rest by sync and blame nobody.
func TestBurstIsNotBlamed(t *testing.T) {
	f := found(t, "homes")
	first := f.prepare("first", record.RoleSuper)
	first.cfg.Quota.MinuteRecords = 40
	first.start()
	busy := f.prepare("busy", record.RoleSuper, first)
	busy.cfg.Quota.MinuteRecords = 40
	busy.start()
	busy.awaitConnected(first)
	var last *record.Signed
	for range 100 {
		last = busy.publish(1)
	}
	first.awaitRecord(last)
	for _, p := range first.Peers() {
		if p.Faults != 0 {
			t.Errorf("%s has faults of %v", p.Name, p.Faults)
		}
	}
	eventually(t, "all that was written is there", func() bool { return len(first.received(record.KindDelta)) == 100 })
}

// A flood is taken up to the quota, its author is no longer listened to, and others are not affected.
func TestFloodIsGraylisted(t *testing.T) {
	f := found(t, "homes")
	first := f.prepare("first", record.RoleSuper)
	first.cfg.Quota.Records = 20
	first.start()
	flooder, honest := f.start("flooder", record.RoleEdge, first), f.start("honest", record.RoleEdge, first)
	flooder.awaitConnected(first)
	honest.awaitConnected(first)
	for range 300 {
		flooder.publish(1)
	}
	eventually(t, "the flooder is on the gray list", func() bool {
		for _, p := range first.Peers() {
			if p.ID == flooder.ID() {
				return p.Gray
			}
		}
		return false
	})
	first.awaitRecord(honest.publish(1))
	for _, p := range first.Peers() {
		if p.ID == honest.ID() && (p.Faults != 0 || p.Gray) {
			t.Errorf("the honest edge has faults of %v", p.Faults)
		}
	}
	if got := len(first.received(record.KindDelta)); got > 2*20+1 {
		t.Errorf("%d records were taken, the quota is 20", got)
	}
}
