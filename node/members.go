package node

import (
	"context"
	"errors"
	"fmt"
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

// Members of the federation, as a stopped node knows them.
func (v *view) Members(context.Context) ([]api.Member, error) {
	if v.genesis == nil {
		return []api.Member{}, nil
	}
	list, err := p2p.Memberships(v.store, v.genesis.id)
	if err != nil {
		return nil, err
	}
	return v.members(list, func(peer.ID) bool { return false })
}

// Members of the federation.
func (v *runningView) Members(context.Context) ([]api.Member, error) {
	return v.members(v.node.network.Memberships(), func(p peer.ID) bool {
		m, ok := v.node.network.Member(p)
		return ok && m.Connected
	})
}

func (v *view) members(list []p2p.Membership, connected func(peer.ID) bool) ([]api.Member, error) {
	self, err := v.home.PeerID()
	if err != nil {
		return nil, err
	}
	out := make([]api.Member, 0, len(list))
	for _, m := range list {
		out = append(out, asMember(m, self, connected(m.ID)))
	}
	return out, nil
}

func asMember(m p2p.Membership, self peer.ID, connected bool) api.Member {
	out := api.Member{
		Name: m.Name, PeerID: m.ID.String(), Role: string(m.Role), Delegate: m.Delegate, Self: m.ID == self, Since: m.Since.Unix(), Expires: m.Expires.Unix(),
		Issuer: m.Issuer.String(), Certificate: m.Certificate.String(), Ended: m.Ended, State: api.MemberAway,
	}
	if !m.Seen.IsZero() {
		out.LastSeen = m.Seen.Unix()
	}
	switch {
	case m.Retired:
		out.State = api.MemberRotated
	case !m.Revoked.IsZero():
		out.State = api.MemberRevoked
	case m.Ended != "":
		out.State = api.MemberExpired
	case m.Invite:
		out.State = api.MemberInvited
	case connected:
		out.State = api.MemberConnected
	}
	return out
}

// Revoke ends a membership or an unused invite. The home must hold the founder key, or be the delegate's that it came from. While the node
// does not run, members hear of it when it does.
func (h *Home) Revoke(ctx context.Context, req api.RevokeRequest) (*api.Member, error) {
	return administer(h, func(c *api.Client) (*api.Member, error) { return c.Revoke(ctx, req) }, func(store *storage.Store) (*api.Member, error) {
		m, _, err := h.revoke(store, req)
		return m, err
	})
}

// Renew gives a member a certificate that ends later.
func (h *Home) Renew(ctx context.Context, req api.RenewRequest) (*api.Member, error) {
	return administer(h, func(c *api.Client) (*api.Member, error) { return c.Renew(ctx, req) }, func(store *storage.Store) (*api.Member, error) {
		m, _, err := h.renew(store, req)
		return m, err
	})
}

// revoke signs what ends a membership, and gives the records to publish.
func (h *Home) revoke(store *storage.Store, req api.RevokeRequest) (*api.Member, []*record.Signed, error) {
	if len(req.Reason) > record.MaxLongName {
		return nil, nil, fmt.Errorf("revoke: %w: a reason of %d bytes is too long", api.ErrBadRequest, len(req.Reason))
	}
	return h.certified(store, "revoke", req.Peer, func(key crypto.PrivKey, federation cid.Cid, p peer.ID) ([]*record.Signed, error) {
		return p2p.RevokeMember(store, key, federation, p, req.Reason)
	})
}

func (h *Home) renew(store *storage.Store, req api.RenewRequest) (*api.Member, []*record.Signed, error) {
	ends, err := lasting(req.Seconds)
	if err != nil {
		return nil, nil, fmt.Errorf("renew: %w", err)
	}
	return h.certified(store, "renew", req.Peer, func(key crypto.PrivKey, federation cid.Cid, p peer.ID) ([]*record.Signed, error) {
		r, err := p2p.Renew(store, key, federation, p, ends)
		if err != nil {
			return nil, err
		}
		return []*record.Signed{r}, nil
	})
}

// certified does something to the member that name means, and tells how the member is after it.
func (h *Home) certified(store *storage.Store, what, name string, do func(crypto.PrivKey, cid.Cid, peer.ID) ([]*record.Signed, error)) (*api.Member, []*record.Signed, error) {
	key, federation, err := h.issuer(store)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	self, err := h.PeerID()
	if err != nil {
		return nil, nil, err
	}
	list, err := p2p.Memberships(store, federation)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	found, err := findMember(list, name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	if found.ID == self && what == "revoke" {
		return nil, nil, fmt.Errorf("%s: %w: this is the node itself", what, api.ErrBadRequest)
	}
	records, err := do(key, federation, found.ID)
	if err != nil {
		return nil, records, err
	}
	if list, err = p2p.Memberships(store, federation); err != nil {
		return nil, records, err
	}
	for _, m := range list {
		if m.ID == found.ID {
			after := asMember(m, self, false)
			return &after, records, nil
		}
	}
	return nil, records, fmt.Errorf("%s: %s has vanished", what, found.ID)
}

// findMember finds the one that a peer id, its beginning or end, or a name means.
func findMember(list []p2p.Membership, name string) (p2p.Membership, error) {
	name = strings.TrimPrefix(name, "…") // tables show the end of an id so
	var found []p2p.Membership
	for _, m := range list {
		switch id := m.ID.String(); {
		case id == name:
			return m, nil
		case name != "" && (m.Name == name && !m.Retired || len(name) >= 6 && (strings.HasPrefix(id, name) || strings.HasSuffix(id, name))):
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		return p2p.Membership{}, api.Advise(fmt.Errorf("member %q: %w", name, api.ErrNotFound), "list them with `mlecs members`")
	case 1:
		return found[0], nil
	}
	return p2p.Membership{}, api.Advise(fmt.Errorf("member %q: %w: %d are called so", name, api.ErrAmbiguous, len(found)), "give the peer id")
}

// Revoke ends a membership, and tells the other members at once.
func (v *runningView) Revoke(ctx context.Context, r api.RevokeRequest) (*api.Member, error) {
	return v.node.certify(ctx, func() (*api.Member, []*record.Signed, error) { return v.home.revoke(v.store, r) })
}

// Renew gives a member a later end, and tells the other members at once.
func (v *runningView) Renew(ctx context.Context, r api.RenewRequest) (*api.Member, error) {
	return v.node.certify(ctx, func() (*api.Member, []*record.Signed, error) { return v.home.renew(v.store, r) })
}

// certify publishes what sign has signed and stored, even if it failed midway.
func (n *Node) certify(ctx context.Context, sign func() (*api.Member, []*record.Signed, error)) (*api.Member, error) {
	n.signing.Lock()
	m, records, err := sign()
	n.signing.Unlock()
	for _, r := range records {
		err = errors.Join(err, n.network.Publish(ctx, r))
		n.ledger.add(r)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// renewEvery is how often a node that may certify looks for members to renew.
const renewEvery = time.Hour

// keepMembers renews members before their certificates end, if the config says so and this node may: in the last fifth of its time, a
// certificate gets as much time again. Members that have been away for that long are left to end.
func (n *Node) keepMembers(ctx context.Context) error {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		if n.cfg.Renew {
			n.renewMembers(ctx, now())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *Node) renewMembers(ctx context.Context, now time.Time) {
	for _, m := range n.network.Memberships() {
		length := m.Expires.Sub(m.Since)
		if m.Invite || m.Ended != "" || m.Expires.Sub(now) > length/5 || now.Sub(m.Seen) > length/5 {
			continue
		}
		req := api.RenewRequest{Peer: m.ID.String(), Seconds: int64(length / time.Second)}
		if _, err := n.certify(ctx, func() (*api.Member, []*record.Signed, error) { return n.home.renew(n.store, req) }); err != nil {
			n.log.Warn("member not renewed", "peer", m.ID, "name", m.Name, "ends", m.Expires, "err", err)
			continue
		}
		n.log.Info("member renewed", "peer", m.ID, "name", m.Name)
	}
}
