package testnet

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// inviteTime is how long a testnet's invites, and the memberships that come from them, last.
const inviteTime = 30 * 24 * time.Hour

// ownData is the folder of a node's own rows, relative to its home: a home can be moved.
const ownData = "data/own"

// build makes the homes and the federation, lets everybody join, and starts all nodes.
func (t *Testnet) build(ctx context.Context) error {
	if err := t.openData(); err != nil {
		return err
	}
	part, err := t.set.Split(t.opt.Partition(t.opt.Seed, false))
	if err != nil {
		return api.Advise(err, "try fewer --edges, or look at the data with `mlecs data inspect %s`", t.set.Dir)
	}
	if err := t.makeHomes(part); err != nil {
		return err
	}
	founder, err := t.folder.Members[0].openHome()
	if err != nil {
		return err
	}
	if err := t.found(ctx, founder, part); err != nil {
		return err
	}
	first := t.nodes[0]
	t.show.say("starting %s", first.Name())
	if err := first.Start(ctx); err != nil {
		return err
	}
	t.show.say("%s runs as process %d, and teaches itself from %d public rows", first.Name(), first.PID(), len(part.Public))
	return t.admit(ctx, founder)
}

// openRows opens a data set for the targets of a field.
func openRows(dir, target string) (*data.Set, error) {
	set, err := data.Open(dir)
	if err == nil {
		set, err = set.WithTarget(target)
	}
	if err != nil {
		return nil, api.Advise(err, "see what it holds with `mlecs data inspect %s`", dir)
	}
	return set, nil
}

// openData opens the given data set, or generates one.
func (t *Testnet) openData() error {
	dir := t.opt.Data
	if dir == "" {
		dir = filepath.Join(t.folder.Dir, dataFolder)
		what := fmt.Sprintf("generating data: %d homes with %d rows each", t.opt.Nodes, t.opt.RowsPerHome)
		err := data.Generate(dir, data.GenerateOptions{
			Homes: t.opt.Nodes, RowsPerHome: t.opt.RowsPerHome, Seed: t.opt.Seed,
			Progress: func(done, total int) { t.show.progress(what, int64(done), int64(total)) },
		})
		if err != nil {
			return err
		}
	}
	var err error
	if t.set, err = openRows(dir, t.opt.Target); err != nil {
		return err
	}
	if t.folder.Data, err = filepath.Abs(dir); err != nil {
		return err
	}
	return t.folder.save()
}

// makeHomes gives every node a home with its own rows: an edge has its share in its modalities, a super-peer only rows to be scored on.
func (t *Testnet) makeHomes(part *data.Partition) error {
	all := t.set.Modalities()
	for i := range t.opt.Supers {
		if err := t.makeHome(fmt.Sprintf("super-%d", i+1), roleSuper, 0, "all", all, marked(part.Test, "test")); err != nil {
			return err
		}
	}
	for i, share := range part.Edges {
		name := fmt.Sprintf("edge-%d", i+1)
		rows := slices.Concat(marked(share.Train, "train"), marked(share.Test, "test"))
		if err := t.makeHome(name, roleEdge, i%t.opt.Families, share.Domain, share.Modalities, rows); err != nil {
			return err
		}
		t.show.say("%s: %s; %s; %d training and %d test rows", name, share.Domain, strings.Join(share.Modalities, ", "), len(share.Train), len(share.Test))
	}
	return t.folder.save()
}

func (t *Testnet) makeHome(name, role string, family int, domain string, modalities []string, rows []data.Row) error {
	dir := filepath.Join(t.folder.Dir, nodesFolder, name)
	place, err := t.place(name, dir)
	if err != nil {
		return fmt.Errorf("make a place for %s: %w", name, err)
	}
	cfg := node.Config{
		Name: name, Role: role, Data: ownData, Modalities: modalities, Family: family, Domain: shorten(domain), Baseline: t.opt.Alone, Stream: name, Log: "info",
		BaseDType: t.opt.BaseDType,
		P2P:       p2p.Config{Listen: place.Listen, Announce: place.Announce, Limits: p2p.Limits{Preset: "local"}},
	}
	h, err := node.Init(dir, cfg)
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	if err := t.set.Write(filepath.Join(dir, filepath.FromSlash(ownData)), rows, modalities); err != nil {
		return fmt.Errorf("give %s its rows: %w", name, err)
	}
	id, err := h.PeerID()
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	t.folder.Members = append(t.folder.Members, Member{Name: name, Role: role, Home: dir, PeerID: id.String()})
	t.nodes = append(t.nodes, t.newNode(len(t.folder.Members)-1, place))
	return nil
}

// place is where a node's process will run.
func (t *Testnet) place(name, home string) (p Place, err error) {
	if t.opt.Place != nil {
		p, err = t.opt.Place(name, home)
	}
	if len(p.Listen) == 0 {
		p.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	return p, err
}

// newNode makes the Node of a member.
func (t *Testnet) newNode(i int, place Place) Node {
	m := t.folder.Members[i]
	if t.opt.InProcess {
		return &inProcess{name: m.Name, role: m.Role, home: m.Home}
	}
	return &process{name: m.Name, role: m.Role, home: m.Home, exe: t.opt.Exe, leashed: !t.opt.detached, place: place}
}

// found creates the federation in the first super-peer's home.
func (t *Testnet) found(ctx context.Context, h *node.Home, part *data.Partition) error {
	cfg, err := t.opt.Tuned.Config("mlecs", t.opt.Setting, t.opt.Seed)
	if err != nil {
		return err
	}
	ids := make([]string, len(part.Public))
	for i, r := range part.Public {
		ids[i] = r.ID
	}
	spec := node.FederationSpec{
		Name: "testnet", Data: t.set.Dir, PublicIDs: ids, Target: t.opt.Target, Method: cfg, Share: method.DefaultShare(),
		// A round waits for every edge that is connected, and while there are none, for half of them.
		Policy:   record.RoundPolicy{Rounds: uint64(t.opt.Rounds), Quorum: 1, Min: uint64(t.opt.Nodes+1) / 2, Deadline: t.opt.Deadline.Milliseconds()},
		Progress: func(stage string, done, total int64) { t.show.progress(stage, done, total) },
	}
	id, err := h.CreateFederation(ctx, spec)
	if err != nil {
		return err
	}
	t.show.say("federation %.16s is founded; %d public rows", id, len(ids))
	return nil
}

// admit lets the other nodes join by token, all at once, and starts them together when all have, so that none is a round behind.
func (t *Testnet) admit(ctx context.Context, founder *node.Home) error {
	others := t.nodes[1:]
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range others {
		token, err := founder.Invite(ctx, api.InviteRequest{Role: string(n.Role()), Seconds: int64(inviteTime / time.Second)})
		if err != nil {
			return fmt.Errorf("invite %s: %w", n.Name(), err)
		}
		g.Go(func() error { return n.Join(gctx, token) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	t.show.say("%s joined by token", count(len(others), "node"))
	g, gctx = errgroup.WithContext(ctx)
	for _, n := range others {
		g.Go(func() error { return n.Start(gctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, n := range t.nodes {
		t.folder.Members[i].PID = n.PID()
	}
	t.show.say("%s run", count(len(t.nodes), "node"))
	return t.folder.save()
}

// marked sets the split of rows: the partition may have made test rows of training rows.
func marked(rows []data.Row, split string) []data.Row {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Split = split
	}
	return rows
}

// shorten keeps a list of joined domains within what a config takes.
func shorten(domain string) string {
	const most = 48
	if len(domain) <= most {
		return domain
	}
	names := strings.Split(domain, "+")
	for k := len(names) - 1; k > 0; k-- {
		if s := fmt.Sprintf("%s+%d more", strings.Join(names[:k], "+"), len(names)-k); len(s) <= most {
			return s
		}
	}
	return count(len(names), "domain")
}
