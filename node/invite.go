package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// maxInvite bounds how long an invite, and the membership that comes from it, may last.
const maxInvite = 10 * 365 * 24 * time.Hour

// Invite makes a token; the home must hold the founder key. Works while the node runs (over its API) and while it does not. validFor
// is how long the token can be used, and the membership lasts, from now. Without bootstrap the token names the addresses that this node
// listens on, or last listened on.
func (h *Home) Invite(ctx context.Context, role record.Role, validFor time.Duration, bootstrap []string) (token string, err error) {
	req := api.InviteRequest{Role: string(role), Seconds: int64(validFor / time.Second), Bootstrap: bootstrap}
	client, err := api.Dial(h.Dir)
	if err == nil {
		defer client.Close()
		reply, err := client.Invite(ctx, req)
		if err != nil {
			return "", err
		}
		return reply.Token, nil
	}
	if !errors.Is(err, api.ErrNotRunning) {
		return "", err
	}
	store, err := openStore(h.Dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	t, err := h.invite(store, req, nil)
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

// invite signs an invite. current are the addresses of the running node.
func (h *Home) invite(store *storage.Store, req api.InviteRequest, current []string) (p2p.Token, error) {
	var none p2p.Token
	role, validFor := record.Role(req.Role), time.Duration(req.Seconds)*time.Second
	if role != record.RoleEdge && role != record.RoleSuper {
		return none, fmt.Errorf("invite: %w: role %q; use edge or super", api.ErrBadRequest, req.Role)
	}
	if req.Seconds < 1 || req.Seconds > int64(maxInvite/time.Second) {
		return none, fmt.Errorf("invite: %w: it must be valid for more than a second and at most ten years", api.ErrBadRequest)
	}
	founder, err := h.founder()
	if err != nil {
		return none, fmt.Errorf("invite: %w", err)
	}
	m, err := loadMembership(store)
	if err != nil {
		return none, fmt.Errorf("invite: %w", err)
	}
	federation, err := cid.Decode(m.Federation)
	if err != nil {
		return none, fmt.Errorf("invite: read federation id: %w", err)
	}
	bootstrap := req.Bootstrap
	if len(bootstrap) == 0 {
		if bootstrap, err = reachable(store, current); err != nil {
			return none, fmt.Errorf("invite: %w", err)
		}
	}
	t, err := p2p.NewInvite(store, founder, federation, role, time.Now().Add(validFor), bootstrap)
	if err != nil {
		return none, fmt.Errorf("invite: %w", err)
	}
	return t, nil
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
