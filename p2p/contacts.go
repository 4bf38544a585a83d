package p2p

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/mlecs/mlecs/storage"
)

// Waits between dials of one contact: doubled with every failure, and a quarter longer or shorter at random so that nodes that were
// cut off together do not come back in step.
const (
	redialFirst   = 500 * time.Millisecond
	redialLongest = 30 * time.Second
	redialRefused = 20 * time.Second // at least, after a refusal: the certificate will hardly change sooner
)

const (
	maxContacts     = 512 // known addresses of peers, in memory and on disk
	maxContactAddrs = 8   // of one peer
	contactPrefix   = "p2p/contacts/"
)

// contacts are the peers worth dialling: bootstrap peers, members met before (kept in the store, so that a restarted node finds them
// even if the bootstrap peers are gone), members that others introduced, and peers seen on the LAN.
type contacts struct {
	self  peer.ID
	store *storage.Store
	log   *slog.Logger
	now   func() time.Time
	wake  chan struct{} // holds a token while something may have become due

	mu    sync.Mutex
	peers map[peer.ID]*contact
}

type contact struct {
	addrs     []ma.Multiaddr
	bootstrap bool
	saved     []string // addresses as last written to the store
	dialling  bool
	failures  int
	due       time.Time
}

// storedContact is a contact on disk.
type storedContact struct {
	Addrs []string `json:"addrs"`
	Seen  int64    `json:"seen"` // Unix seconds
}

func loadContacts(self peer.ID, store *storage.Store, bootstrap []peer.AddrInfo, log *slog.Logger, now func() time.Time) (*contacts, error) {
	c := &contacts{self: self, store: store, log: log, now: now, wake: make(chan struct{}, 1), peers: make(map[peer.ID]*contact)}
	for _, info := range bootstrap {
		if info.ID != self {
			c.peers[info.ID] = &contact{addrs: info.Addrs, bootstrap: true}
		}
	}
	keys, err := store.Keys(contactPrefix)
	if err != nil {
		return nil, fmt.Errorf("list known peers: %w", err)
	}
	for _, key := range keys {
		if err := c.load(key); err != nil {
			log.Warn("known peer forgotten", "key", key, "err", err)
			if err := store.Delete(key); err != nil {
				return nil, fmt.Errorf("forget known peer: %w", err)
			}
		}
	}
	return c, nil
}

func (c *contacts) load(key string) error {
	id, err := peer.Decode(strings.TrimPrefix(key, contactPrefix))
	if err != nil {
		return err
	}
	value, err := c.store.Get(key)
	if err != nil {
		return err
	}
	var stored storedContact
	if err := json.Unmarshal(value, &stored); err != nil {
		return err
	}
	addrs := readAddrs(stored.Addrs)
	if len(addrs) == 0 {
		return errors.New("no usable address")
	}
	if k := c.learn(id, addrs); k != nil {
		k.saved = stored.Addrs
	}
	return nil
}

// readAddrs parses what it can, at most maxContactAddrs.
func readAddrs(texts []string) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil || checkTransport(a) != nil {
			continue
		}
		if addrs = append(addrs, a); len(addrs) == maxContactAddrs {
			break
		}
	}
	return addrs
}

// learn adds addresses of a peer, newest first; none if it can only be reached through super-peers. nil if it is not to be kept. Callers
// hold mu or own c.
func (c *contacts) learn(p peer.ID, addrs []ma.Multiaddr) *contact {
	if p == c.self {
		return nil
	}
	k := c.peers[p]
	if k == nil {
		if len(c.peers) >= maxContacts {
			return nil
		}
		k = &contact{}
		c.peers[p] = k
	}
	merged := slices.Clone(addrs)
	for _, a := range k.addrs {
		if !ma.Contains(merged, a) {
			merged = append(merged, a)
		}
	}
	k.addrs = merged[:min(len(merged), maxContactAddrs)]
	return k
}

// succeed notes that to has taken the place of from, whose addresses it will have.
func (c *contacts) succeed(from, to peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.peers[from]
	if k == nil || c.peers[to] != nil {
		return
	}
	if heir := c.learn(to, k.addrs); heir != nil {
		heir.bootstrap = k.bootstrap
	}
	c.signal()
}

// found notes a peer seen on the LAN, or looked up.
func (c *contacts) found(info peer.AddrInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learn(info.ID, slices.DeleteFunc(slices.Clone(info.Addrs), func(a ma.Multiaddr) bool { return checkTransport(a) != nil }))
	c.signal()
}

// introduced notes what a member told of others.
func (c *contacts) introduced(peers []introduction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range peers[:min(len(peers), maxHelloPeers)] {
		if addrs := readAddrs(p.Addrs); len(addrs) > 0 || len(p.Addrs) == 0 {
			c.learn(p.ID, addrs)
		}
	}
	c.signal()
}

// met notes that p is connected and a member, with the addresses it listens on, and keeps them on disk.
func (c *contacts) met(p peer.ID, addrs []ma.Multiaddr) {
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	slices.Sort(texts) // the peerstore's order varies, and every write is a disk sync
	usable := readAddrs(texts)
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.peers[p]
	if k != nil {
		k.failures, k.due = 0, time.Time{}
	}
	if len(usable) == 0 {
		return
	}
	if k == nil {
		if k = c.learn(p, usable); k == nil {
			return
		}
	}
	if !k.bootstrap {
		k.addrs = usable // what it said itself replaces what was heard
	}
	texts = texts[:0]
	for _, a := range usable {
		texts = append(texts, a.String())
	}
	if slices.Equal(texts, k.saved) {
		return
	}
	value, err := json.Marshal(storedContact{Addrs: texts, Seen: c.now().Unix()})
	if err == nil {
		err = c.store.Put(contactPrefix+p.String(), value)
	}
	if err != nil {
		c.log.Warn("address of peer not kept", "peer", p, "err", err)
		return
	}
	k.saved = texts
}

// parted notes on disk that the connection to a member has ended, and that the member is due to be dialled at once.
func (c *contacts) parted(p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signal()
	k := c.peers[p]
	if k == nil || len(k.saved) == 0 {
		return
	}
	value, err := json.Marshal(storedContact{Addrs: k.saved, Seen: c.now().Unix()})
	if err == nil {
		err = c.store.Put(contactPrefix+p.String(), value)
	}
	if err != nil {
		c.log.Debug("last sight of peer not kept", "peer", p, "err", err)
	}
}

// refused notes that p and this node do not accept each other.
func (c *contacts) refused(p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.peers[p]; k != nil {
		k.failures = max(k.failures, 1)
		k.due = c.now().Add(redialRefused)
	}
}

// take gives the contacts that are due and for which skip is false, at most limit, bootstrap peers first, and marks them as being
// dialled.
func (c *contacts) take(limit int, skip func(peer.ID) bool) []peer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	var infos []peer.AddrInfo
	for p, k := range c.peers {
		if !k.dialling && !now.Before(k.due) && !skip(p) {
			infos = append(infos, peer.AddrInfo{ID: p, Addrs: slices.Clone(k.addrs)})
		}
	}
	slices.SortFunc(infos, func(a, b peer.AddrInfo) int {
		x, y := c.peers[a.ID], c.peers[b.ID]
		switch {
		case x.bootstrap != y.bootstrap && x.bootstrap:
			return -1
		case x.bootstrap != y.bootstrap:
			return 1
		case x.failures != y.failures:
			return x.failures - y.failures
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	infos = infos[:min(len(infos), limit)]
	for _, info := range infos {
		c.peers[info.ID].dialling = true
	}
	return infos
}

// dialled notes the end of a dial. Even after success the contact waits: hello may still fail, and met resets the wait if not. It
// tells whether this was the first dial in a row, of a bootstrap peer: if that fails the user should know.
func (c *contacts) dialled(p peer.ID) (firstOfBootstrap bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.peers[p]
	if k == nil {
		return false
	}
	firstOfBootstrap = k.bootstrap && k.failures == 0
	k.dialling = false
	wait := redialLongest
	if k.failures < 6 {
		wait = min(wait, redialFirst<<k.failures)
	}
	k.failures++
	wait += time.Duration((rand.Float64() - 0.5) / 2 * float64(wait))
	if due := c.now().Add(wait); due.After(k.due) {
		k.due = due
	}
	return firstOfBootstrap
}

func (c *contacts) signal() {
	wake(c.wake)
}
