package p2p

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func newID(t *testing.T) peer.ID {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func addrs(texts ...string) []ma.Multiaddr { return readAddrs(texts) }

// clock is set by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func nobody(peer.ID) bool { return false }

func TestContactsWaitLongerAfterEveryFailure(t *testing.T) {
	store := openStore(t)
	clock := &clock{time.Unix(1_700_000_000, 0)}
	p := newID(t)
	c, err := loadContacts(newID(t), store, []peer.AddrInfo{{ID: p, Addrs: addrs("/ip4/192.0.2.1/tcp/1")}}, slog.New(slog.DiscardHandler), clock.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		if got := c.take(9, nobody); len(got) != 1 || got[0].ID != p {
			t.Fatalf("due after the wait: %v", got)
		}
		if got := c.take(9, nobody); len(got) != 0 {
			t.Fatalf("given out twice: %v", got)
		}
		c.dialled(p)
		clock.at = clock.at.Add(wait * 3 / 4)
		if got := c.take(9, nobody); len(got) != 0 {
			t.Fatalf("due again before three quarters of %s", wait)
		}
		clock.at = clock.at.Add(wait / 2)
	}
	c.met(p, nil)
	if got := c.take(9, nobody); len(got) != 1 {
		t.Error("not due at once after it was met")
	}
	c.dialled(p)
	c.refused(p)
	clock.at = clock.at.Add(redialRefused - time.Second)
	if got := c.take(9, nobody); len(got) != 0 {
		t.Error("due soon after a refusal")
	}
}

func TestContactsSurviveARestart(t *testing.T) {
	store := openStore(t)
	clock := &clock{time.Unix(1_700_000_000, 0)}
	self, bootstrap, friend, heard := newID(t), newID(t), newID(t), newID(t)
	log := slog.New(slog.DiscardHandler)
	c, err := loadContacts(self, store, []peer.AddrInfo{{ID: bootstrap, Addrs: addrs("/ip4/192.0.2.1/tcp/1")}, {ID: self, Addrs: addrs("/ip4/192.0.2.9/tcp/1")}}, log, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	c.introduced([]introduction{
		{ID: friend, Addrs: []string{"/ip4/192.0.2.2/tcp/1", "nonsense", "/ip4/192.0.2.2/tcp/1/ws"}},
		{ID: heard, Addrs: []string{"/ip4/192.0.2.3/udp/1/quic-v1"}},
		{ID: self, Addrs: []string{"/ip4/192.0.2.4/tcp/1"}},
		{ID: newID(t), Addrs: []string{"nonsense"}},
	})
	if got := c.take(9, nobody); len(got) != 3 || got[0].ID != bootstrap {
		t.Fatalf("to dial: %v; want the bootstrap peer first, then two, never itself", got)
	}
	c.met(friend, addrs("/ip4/192.0.2.2/tcp/2", "/ip4/192.0.2.2/udp/2/quic-v1"))
	if err := store.Put(contactPrefix+"no-peer", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(contactPrefix+heard.String(), []byte("{damaged")); err != nil {
		t.Fatal(err)
	}

	again, err := loadContacts(self, store, nil, log, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	got := again.take(9, nobody)
	if len(got) != 1 || got[0].ID != friend || len(got[0].Addrs) != 2 || got[0].Addrs[0].String() != "/ip4/192.0.2.2/tcp/2" {
		t.Errorf("after a restart: %v; want only the member met, where it said it listens", got)
	}
	if keys, err := store.Keys(contactPrefix); err != nil || len(keys) != 1 {
		t.Errorf("damaged contacts are kept: %v, %v", keys, err)
	}
}

func TestContactsAreBounded(t *testing.T) {
	c, err := loadContacts(newID(t), openStore(t), nil, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range maxContacts + 10 {
		c.found(peer.AddrInfo{ID: newID(t), Addrs: addrs("/ip4/192.0.2.2/tcp/1")})
	}
	if got := c.take(2*maxContacts, nobody); len(got) != maxContacts {
		t.Errorf("%d contacts kept, want %d", len(got), maxContacts)
	}
}
