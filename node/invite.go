package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// maxInvite bounds how long an invite, and the membership that comes from it, may last.
const maxInvite = 10 * 365 * 24 * time.Hour

// Invite makes a token; the home must hold the founder key, or be a delegate's. Works while the node runs (over its API) and while it does
// not. The token can be used, and the membership lasts, for req.Seconds from now, or as long as the delegate's own. Without bootstrap the
// token names the addresses that this node listens on, or last listened on.
func (h *Home) Invite(ctx context.Context, req api.InviteRequest) (token string, err error) {
	reply, err := administer(h, func(c *api.Client) (*api.InviteReply, error) { return c.Invite(ctx, req) }, func(store *storage.Store) (*api.InviteReply, error) {
		t, err := h.invite(store, req, nil)
		return &api.InviteReply{Token: t.String()}, err
	})
	if err != nil {
		return "", err
	}
	return reply.Token, nil
}

// administer asks the running node, or does the work on the store of a stopped one.
func administer[T any](h *Home, ask func(*api.Client) (*T, error), do func(*storage.Store) (*T, error)) (out *T, err error) {
	client, err := api.Dial(h.Dir)
	if err == nil {
		defer client.Close()
		return ask(client)
	}
	if !errors.Is(err, api.ErrNotRunning) {
		return nil, err
	}
	store, err := openStore(h.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := h.finishRotation(store); err != nil {
		return nil, err
	}
	return do(store)
}

// issuer is the key that this home may sign certificates with, and its federation: the founder's if it has it, else its own as a delegate.
func (h *Home) issuer(store *storage.Store) (crypto.PrivKey, cid.Cid, error) {
	founder, founderErr := h.founder()
	if founderErr != nil && !errors.Is(founderErr, fs.ErrNotExist) {
		return nil, cid.Undef, founderErr
	}
	m, err := loadMembership(store)
	if err != nil {
		if founderErr != nil {
			return nil, cid.Undef, fmt.Errorf("home %s has no founder key: %w", h.Dir, err)
		}
		return nil, cid.Undef, err
	}
	federation, err := cid.Decode(m.Federation)
	if err != nil {
		return nil, cid.Undef, fmt.Errorf("read federation id: %w", err)
	}
	if founderErr == nil {
		return founder, federation, nil
	}
	self, err := h.PeerID()
	if err != nil {
		return nil, cid.Undef, err
	}
	members, err := p2p.Memberships(store, federation)
	if err != nil {
		return nil, cid.Undef, err
	}
	for _, x := range members {
		if x.ID == self && x.Delegate && x.Ended == "" {
			key, err := h.identity()
			return key, federation, err
		}
	}
	return nil, cid.Undef, founderErr
}

// invite signs an invite. current are the addresses of the running node.
func (h *Home) invite(store *storage.Store, req api.InviteRequest, current []string) (p2p.Token, error) {
	var none p2p.Token
	role := record.Role(req.Role)
	if role != record.RoleEdge && role != record.RoleSuper {
		return none, fmt.Errorf("invite: %w: role %q; use edge or super", api.ErrBadRequest, req.Role)
	}
	if req.Delegate && role != record.RoleSuper {
		return none, fmt.Errorf("invite: %w: only super-peers can be delegates", api.ErrBadRequest)
	}
	ends, err := lasting(req.Seconds)
	if err != nil {
		return none, fmt.Errorf("invite: %w", err)
	}
	key, federation, err := h.issuer(store)
	if err != nil {
		return none, fmt.Errorf("invite: %w", err)
	}
	bootstrap := req.Bootstrap
	if len(bootstrap) == 0 {
		if bootstrap, err = reachable(store, current); err != nil {
			return none, fmt.Errorf("invite: %w", err)
		}
	}
	var t p2p.Token
	if req.Delegate {
		t, err = p2p.NewDelegateInvite(store, key, federation, ends, bootstrap)
	} else {
		t, err = p2p.NewInvite(store, key, federation, role, ends, bootstrap)
	}
	if err != nil {
		return none, fmt.Errorf("invite: %w", err)
	}
	return t, nil
}

// lasting is when a certificate of so many seconds ends.
func lasting(seconds int64) (time.Time, error) {
	if seconds < 1 || seconds > int64(maxInvite/time.Second) {
		return time.Time{}, fmt.Errorf("%w: it must be valid for more than a second and at most ten years", api.ErrBadRequest)
	}
	return time.Now().Add(time.Duration(seconds) * time.Second), nil
}

// reachable are the addresses to put into a token: the current or the last ones, loopback only if there is nothing else.
func reachable(store *storage.Store, current []string) ([]string, error) {
	addrs := current
	if len(addrs) == 0 {
		if _, err := getJSON(store, keyAddrs, &addrs); err != nil {
			return nil, err
		}
	}
	if len(addrs) == 0 {
		return nil, api.Advise(errors.New("this node has not listened on any address yet"), "start it first, or give --bootstrap ADDRESS/p2p/PEER-ID")
	}
	outside := slices.DeleteFunc(slices.Clone(addrs), func(a string) bool {
		return strings.HasPrefix(a, "/ip4/127.") || strings.HasPrefix(a, "/ip6/::1/")
	})
	if len(outside) > 0 {
		return outside, nil
	}
	return addrs, nil
}
