package node

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

func (m *member) rotate() *api.Rotation {
	m.t.Helper()
	r, err := m.home.RotateIdentity(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	id, err := m.home.PeerID()
	if err != nil {
		m.t.Fatal(err)
	}
	if r.New == r.Old || id.String() != r.New {
		m.t.Fatalf("rotated %+v; the home's identity is %s", r, id)
	}
	if _, err := os.Stat(m.home.path(nextIdentityFile)); !errors.Is(err, fs.ErrNotExist) {
		m.t.Errorf("the new key's own file: %v", err)
	}
	return r
}

// TestRotateIdentity: an edge and the only super-peer, which is the founder's node, replace their keys between rounds, one stopped and one running;
// the rounds go on, earlier aggregates stand, and nobody is counted twice.
func TestRotateIdentity(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 4, Quorum: 1, Min: 2, Deadline: 60_000})
	super := c.nodes["super"]
	super.start()
	first, second := c.join("first", "sensor"), c.join("second", "sensor")
	first.start()
	second.start()
	first.until("has trained a round", func(s *api.Status) bool { return s.Round >= 1 })
	first.halt()
	edge := first.rotate()
	first.start()
	first.until("has its new identity", func(s *api.Status) bool { return s.PeerID == edge.New })

	boss := super.rotate() // it runs, and starts again by itself
	super.until("has its new identity", func(s *api.Status) bool { return s.PeerID == boss.New })
	for _, m := range []*member{super, first, second} {
		m.until("is done", isDone)
	}

	rounds, err := second.source().Rounds(t.Context(), api.Window{})
	if err != nil || len(rounds) != 5 {
		t.Fatalf("%d rounds, %v", len(rounds), err)
	}
	for _, r := range rounds[1:] {
		if len(r.Inputs) != 2 {
			t.Errorf("round %d has %d inputs", r.Round, len(r.Inputs))
		}
	}
	state := func(id string) string {
		members, err := second.source().Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(members, func(m api.Member) bool { return m.PeerID == id })
		if i < 0 {
			return "unknown"
		}
		return members[i].State
	}
	for id, want := range map[string]string{edge.Old: api.MemberRotated, boss.Old: api.MemberRotated, edge.New: api.MemberConnected, boss.New: api.MemberConnected} {
		// Whoever has just started again is found again within the time that nodes take to look for members.
		got := state(id)
		for deadline := time.Now().Add(30 * time.Second); got != want && time.Now().Before(deadline); got = state(id) {
			time.Sleep(20 * time.Millisecond)
		}
		if got != want {
			t.Errorf("%s is %s, not %s", id, got, want)
		}
	}
	gone, err := super.home.Revoke(t.Context(), api.RevokeRequest{Peer: "first", Reason: "sold"})
	if err != nil || gone.PeerID != edge.New || gone.State != api.MemberRevoked {
		t.Errorf("revoked by name: %+v, %v", gone, err)
	}
}

// A change of identity that is interrupted leaves the old identity before the certificate is stored, and the new one from there on.
func TestInterruptedRotationIsFinished(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 1, Deadline: 60_000})
	h := c.nodes["super"].home
	id := func() string {
		t.Helper()
		p, err := h.PeerID()
		if err != nil {
			t.Fatal(err)
		}
		return p.String()
	}
	// open is what every command does that acts as the node.
	open := func(during func(federation cid.Cid)) {
		t.Helper()
		store, err := openStore(h.Dir)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		if err := h.finishRotation(store); err != nil {
			t.Fatal(err)
		}
		m, err := loadMembership(store)
		if err != nil {
			t.Fatal(err)
		}
		federation, err := cid.Decode(m.Federation)
		if err != nil {
			t.Fatal(err)
		}
		if chain, _, err := m.proof(); err != nil || !strings.HasSuffix(subjectOf(t, chain), id()) {
			t.Errorf("the membership is of %s, the identity %s, %v", subjectOf(t, chain), id(), err)
		}
		if p, err := h.PeerID(); err == nil {
			if _, err := p2p.Proof(store, federation, p); err != nil {
				t.Errorf("the identity is no member: %v", err)
			}
		}
		if during != nil {
			during(federation)
		}
	}
	old := id()
	if _, err := newKey(h.path(nextIdentityFile)); err != nil { // killed after step 1
		t.Fatal(err)
	}
	open(nil)
	if id() != old {
		t.Error("the identity has changed without a certificate")
	}
	if _, err := os.Stat(h.path(nextIdentityFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key that is not used is left: %v", err)
	}

	var want string
	store, err := openStore(h.Dir)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := h.handOver(store) // killed after step 2
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	if want = r.New; id() != old {
		t.Error("the key was replaced too early")
	}
	open(nil)
	if id() != want {
		t.Errorf("the identity is %s, not %s", id(), want)
	}
	open(nil) // nothing is left to do
}

func subjectOf(t *testing.T, chain []*record.Signed) string {
	t.Helper()
	body, err := record.BodyAs[record.Certificate](chain[len(chain)-1])
	if err != nil {
		t.Fatal(err)
	}
	return body.Subject.String()
}
