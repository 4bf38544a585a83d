package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// A node's key is replaced in steps, of which each is durable before the next:
//
//  1. a new key is written to identity.key.next;
//  2. the certificate by which the old key hands over to the new one is stored: from here on the new one is this node's;
//  3. the membership in the store becomes the new key's;
//  4. identity.key.next is renamed to identity.key, which destroys the old key.
//
// Whatever opens the home's store to act as its node first finishes what was interrupted: before step 2 by removing the new key, after it by doing
// what is left.
const nextIdentityFile = "identity.key.next"

// errRotated ends a node that has a new key and is to be started again.
var errRotated = errors.New("the node has a new identity")

// toldWithin is how long a running node waits for the members connected to it to hear that it has a new key. They let go of the old one then.
const toldWithin = 3 * time.Second

// RotateIdentity gives the node a new key, with its membership: the same role until the same day. The old key is destroyed. A running node tells
// the others at once and starts again; the members hear of one that is stopped when it is started, if they find it.
func (h *Home) RotateIdentity(ctx context.Context) (*api.Rotation, error) {
	return administer(h, func(c *api.Client) (*api.Rotation, error) { return c.RotateIdentity(ctx) }, func(store *storage.Store) (*api.Rotation, error) {
		out, _, err := h.handOver(store)
		if err != nil {
			return nil, err
		}
		return out, h.finishRotation(store)
	})
}

// handOver does steps 1 and 2.
func (h *Home) handOver(store *storage.Store) (*api.Rotation, *record.Signed, error) {
	fail := func(err error) (*api.Rotation, *record.Signed, error) {
		return nil, nil, fmt.Errorf("rotate identity: %w", err)
	}
	m, err := loadMembership(store)
	if err != nil {
		return fail(err)
	}
	federation, err := cid.Decode(m.Federation)
	if err != nil {
		return fail(err)
	}
	old, err := h.identity()
	if err != nil {
		return fail(err)
	}
	next, err := newKey(h.path(nextIdentityFile))
	if err != nil {
		return fail(err)
	}
	s, err := p2p.HandOver(store, old, next, federation)
	if err != nil {
		err = api.Advise(err, "mlecs members tells of the membership; one that has ended or was handed on too often has to be renewed first (mlecs renew, on a node that may invite)")
		return fail(errors.Join(err, os.Remove(h.path(nextIdentityFile))))
	}
	c, err := record.BodyAs[record.Certificate](s)
	if err != nil {
		return fail(err)
	}
	return &api.Rotation{Old: s.Author.String(), New: c.Subject.String(), Certificate: s.CID.String(), Expires: c.Expires}, s, nil
}

// finishRotation does steps 3 and 4 if step 2 was done, and undoes step 1 if not.
func (h *Home) finishRotation(store *storage.Store) error {
	path := h.path(nextIdentityFile)
	next, err := ReadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	own, chain, m, err := h.inherited(store, next)
	switch {
	case err != nil:
	case own:
		if err = saveChain(store, m, chain); err == nil {
			err = os.Rename(path, h.path(identityFile))
		}
	default:
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("finish the change of identity: %w", err)
	}
	return syncDir(h.Dir)
}

// inherited tells whether the home's identity was handed over to next, and gives the chain that makes it a member, if it still is one.
func (h *Home) inherited(store *storage.Store, next crypto.PrivKey) (own bool, chain []*record.Signed, m *membership, err error) {
	if m, err = loadMembership(store); err != nil {
		return false, nil, nil, err
	}
	federation, err := cid.Decode(m.Federation)
	if err != nil {
		return false, nil, nil, err
	}
	from, err := h.PeerID()
	if err != nil {
		return false, nil, nil, err
	}
	to, err := peer.IDFromPrivateKey(next)
	if err != nil {
		return false, nil, nil, err
	}
	heirs, err := p2p.Heirs(store, federation, from)
	if err != nil || !slices.Contains(heirs, to) {
		return false, nil, nil, err
	}
	if chain, err = p2p.Proof(store, federation, to); err != nil {
		chain = nil // expired, or revoked, meanwhile: the node says so when it opens its network
	}
	return true, chain, m, nil
}

// saveChain replaces the certificates of a membership.
func saveChain(store *storage.Store, m *membership, chain []*record.Signed) error {
	federation, err := cid.Decode(m.Federation)
	if err != nil {
		return err
	}
	return saveMembership(store, federation, m.Role, chain, m.Bootstrap)
}

// ownIdentity reads this node's key, after it has finished a change of it. A home that has the old key of an identity handed over, as from an old
// backup, cannot run.
func (n *Node) ownIdentity() (err error) {
	if err := n.home.finishRotation(n.store); err != nil {
		return err
	}
	if n.key, err = n.home.identity(); err != nil {
		return err
	}
	if n.self, err = peer.IDFromPrivateKey(n.key); err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	m, err := loadMembership(n.store)
	if err != nil {
		return err
	}
	federation, err := cid.Decode(m.Federation)
	if err != nil {
		return fmt.Errorf("read federation id: %w", err)
	}
	heirs, err := p2p.Heirs(n.store, federation, n.self)
	if err != nil || len(heirs) == 0 {
		return err
	}
	names := make([]string, len(heirs))
	for i, p := range heirs {
		names[i] = p.String()
	}
	return api.Advise(fmt.Errorf("identity %s of this home was handed over to %s", n.self, strings.Join(names, " and ")),
		"use the home that has the new key; if that was not you, ask the founder to revoke it and for a token for a new home")
}

// RotateIdentity gives the running node a new key and ends it; whoever runs it starts it again.
func (v *runningView) RotateIdentity(ctx context.Context) (*api.Rotation, error) {
	n := v.node
	n.sweeping.Lock() // a backup has the old key or the new one
	defer n.sweeping.Unlock()
	n.signing.Lock()
	out, s, err := v.home.handOver(v.store)
	n.signing.Unlock()
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	// From here on the node goes on as its heir, come what may: what is left is done again at the start.
	defer n.stop(errRotated)
	if err := n.network.Publish(ctx, s); err != nil {
		return nil, err
	}
	n.take(s)
	n.awaitLetGo(ctx)
	return out, v.home.finishRotation(v.store)
}

// awaitLetGo waits until the members connected have heard that this node's identity is no member any more, and disconnected.
func (n *Node) awaitLetGo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	tick := time.NewTicker(retrySoon / 2)
	defer tick.Stop()
	for slices.ContainsFunc(n.network.Members(), func(m p2p.Member) bool { return m.Connected && m.ID != n.self }) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
