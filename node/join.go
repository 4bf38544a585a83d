package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// joinPatience is how long Join waits for a member that can serve a blob before it gives up; what is here stays for the next attempt.
const joinPatience = 2 * time.Minute

// Join proves the token's invite, and fetches genesis, the public data of the node's modalities, and its base model. All of it is
// verified by CID. A join that was interrupted goes on where it was when called again with the same token.
func (h *Home) Join(ctx context.Context, token string, progress func(what string, done, total int64)) (err error) {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	cfg, err := h.Config()
	if err != nil {
		return err
	}
	t, err := p2p.ParseToken(token)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	role, err := checkInvite(t, cfg)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	// The own data is looked at before the token, which works once only.
	set, err := h.openOwn(cfg, role)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	store, err := openStore(h.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	store.SetQuota(cfg.DiskQuota << 20)
	m, err := h.enter(ctx, store, cfg, t, role, progress)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	g, err := loadGenesis(store, m.Federation)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if err := h.fetchAll(ctx, store, cfg, m, g, set, progress); err != nil {
		return fmt.Errorf("join federation %q: %w", g.Name, api.Advise(err, "what is fetched is kept: run the same command again to go on"))
	}
	return nil
}

// checkInvite reads the role that a token gives, and refuses one that cannot work.
func checkInvite(t p2p.Token, cfg Config) (record.Role, error) {
	r, err := record.Open(t.Certificate)
	if err != nil {
		return "", fmt.Errorf("the token's certificate: %w", err)
	}
	c, err := record.BodyAs[record.Certificate](r)
	if err != nil {
		return "", fmt.Errorf("the token's certificate: %w", err)
	}
	if cfg.Role != "" && cfg.Role != string(c.Role) {
		return "", api.Advise(fmt.Errorf("the token is for role %s, and this node's role is %s", c.Role, cfg.Role), "change `role` in config.yaml, or ask for another token")
	}
	if end := time.Unix(c.Expires, 0); time.Now().After(end) {
		return "", api.Advise(fmt.Errorf("the token expired on %s", end.UTC().Format(time.RFC3339)), "ask for a new one")
	}
	return c.Role, nil
}

// openOwn opens the own data folder; a super-peer may have none.
func (h *Home) openOwn(cfg Config, role record.Role) (*data.Set, error) {
	dir := h.dataDir(cfg)
	if dir == "" {
		if role == record.RoleEdge {
			return nil, errNoData(h)
		}
		return nil, nil
	}
	set, err := data.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open own data: %w", err)
	}
	return set, nil
}

// enter makes the home a member, unless an attempt before did.
func (h *Home) enter(ctx context.Context, store *storage.Store, cfg Config, t p2p.Token, role record.Role, progress func(string, int64, int64)) (*membership, error) {
	m, err := loadMembership(store)
	if err == nil {
		if m.Federation != t.Federation.String() {
			return nil, api.Advise(fmt.Errorf("this home is a member of federation %s, and the token is for %s", m.Federation, t.Federation), "use another home")
		}
		return m, nil
	}
	if !errors.Is(err, errNoFederation) {
		return nil, err
	}
	key, err := h.identity()
	if err != nil {
		return nil, err
	}
	progress("proving the invite", 0, 1)
	chain, err := p2p.Join(ctx, key, cfg.Name, store, t, quiet())
	if err != nil {
		return nil, err
	}
	progress("proving the invite", 1, 1)
	if err := saveMembership(store, t.Federation, role, chain, t.Bootstrap); err != nil {
		return nil, err
	}
	return loadMembership(store)
}

// fetchAll connects to the federation for as long as it takes to provision the home.
func (h *Home) fetchAll(ctx context.Context, store *storage.Store, cfg Config, m *membership, g *genesis, set *data.Set, progress func(string, int64, int64)) error {
	at, err := g.seatOf(m.Role, cfg)
	if err != nil {
		return err
	}
	modalities := modalityNames(g)
	if m.Role == record.RoleEdge {
		if modalities, err = chooseModalities(cfg.Modalities, g, set); err != nil {
			return err
		}
	}
	network, err := h.openNetwork(store, cfg, m, g, quiet(), nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- network.Serve(ctx) }()
	p := provision{seat: at, home: h, store: store, modalities: modalities, network: network, patience: joinPatience, progress: progress}
	err = p.run(ctx)
	cancel()
	<-served
	return err
}

// openNetwork makes the home's place in its federation; libp2p's metrics go to registry if it is not nil.
func (h *Home) openNetwork(store *storage.Store, cfg Config, m *membership, g *genesis, log *slog.Logger, registry prometheus.Registerer) (*p2p.Network, error) {
	key, err := h.identity()
	if err != nil {
		return nil, err
	}
	proof, expires, err := m.proof()
	if err != nil {
		return nil, err
	}
	if time.Now().After(expires) {
		proof = nil // there may be a renewed one in the store
	}
	pc := cfg.P2P
	pc.Bootstrap = slices.Concat(pc.Bootstrap, m.Bootstrap)
	deps := p2p.Deps{Key: key, Store: store, Federation: g.id, Proof: proof, Log: log, Metrics: registry, Now: now}
	pc.Listen = reusePorts(store, cfg.P2P.Listen)
	n, err := p2p.New(pc, deps)
	if err != nil && !slices.Equal(pc.Listen, cfg.P2P.Listen) {
		pc.Listen = cfg.P2P.Listen // a remembered port was taken in the meantime
		n, err = p2p.New(pc, deps)
	}
	if err != nil && proof == nil {
		return nil, api.Advise(fmt.Errorf("this node's membership ended on %s: %w", expires.UTC().Format(time.RFC3339), err), "ask for it to be renewed, or for a new token, and join with a new home")
	}
	if err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	err = putJSON(store, keyAddrs, n.Addrs())
	if len(pc.Announce) == 0 { // else Addrs tells of other ports than those listened on
		err = errors.Join(err, rememberPorts(store, cfg.P2P.Listen, n.Addrs()))
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// quiet is a log for commands, which tell their user by progress and errors.
func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
