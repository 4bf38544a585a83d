package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// TestMembers: the founder's node lists, renews and puts out members while it runs and while it does not.
func TestMembers(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 1, Deadline: 60_000})
	founder := c.nodes["super"]
	founder.start()
	edge := c.join("kitchen", "sensor")
	edge.start()
	edge.until("is done", isDone)
	founder.until("is done", isDone)
	state := func(m *member, name string) api.Member {
		list, err := m.source().Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(x api.Member) bool { return x.Name == name })
		if i < 0 {
			t.Fatalf("%s is not among %+v", name, list)
		}
		return list[i]
	}
	if m := state(founder, "kitchen"); m.State != api.MemberConnected || m.Role != "edge" || m.Self || m.Since == 0 || time.Since(time.Unix(m.LastSeen, 0)) > time.Minute {
		t.Errorf("a member %+v", m)
	}
	if _, err := edge.home.Revoke(t.Context(), api.RevokeRequest{Peer: "super"}); err == nil || !strings.Contains(err.Error(), "no founder key") {
		t.Errorf("an edge revokes: %v", err)
	}
	if _, err := founder.home.Renew(t.Context(), api.RenewRequest{Peer: "cellar", Seconds: 60}); err == nil || !strings.Contains(err.Error(), "mlecs members") {
		t.Errorf("renewing nobody: %v", err)
	}
	later, err := founder.home.Renew(t.Context(), api.RenewRequest{Peer: "kitchen", Seconds: 7200})
	if err != nil || later.Expires < time.Now().Add(time.Hour).Unix() {
		t.Fatalf("renewed %+v, %v", later, err)
	}
	edge.until("has its new certificate", func(*api.Status) bool { return state(edge, "kitchen").Expires == later.Expires })
	gone, err := founder.home.Revoke(t.Context(), api.RevokeRequest{Peer: later.PeerID[len(later.PeerID)-10:], Reason: "sold"})
	if err != nil || gone.State != api.MemberRevoked {
		t.Fatalf("revoked %+v, %v", gone, err)
	}
	founder.until("has cut the edge off", func(s *api.Status) bool { return s.Peers == 0 })
	edge.halt()
	founder.halt()
	if _, err := founder.home.Revoke(t.Context(), api.RevokeRequest{Peer: "kitchen"}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("revoked a second time: %v", err)
	}
	if m := state(founder, "kitchen"); m.State != api.MemberRevoked || !strings.Contains(m.Ended, "revoked") {
		t.Errorf("the stopped founder says %+v", m)
	}
}
