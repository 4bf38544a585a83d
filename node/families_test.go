package node

import (
	"math"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// TestTwoFamilies: edges on a GPT-2 and on a Llama learn in one federation. Each has its own base only, LoRA is averaged within a family,
// and encoders of one structure over both.
func TestTwoFamilies(t *testing.T) {
	c := newClusterOf(t, 2, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 2, Deadline: 60_000})
	c.nodes["super"].start()
	first := c.join("first")
	second := c.joinWith(record.RoleEdge, "second", func(cfg *Config) { cfg.Family = 1 })
	first.start()
	second.start()
	for _, m := range c.nodes {
		m.until("is done", isDone)
	}
	for name, want := range map[string]struct {
		base   string
		family int
		stored []bool // the edges' bases and the super-peers'
	}{
		"first":  {"given", 0, []bool{true, false, false}},
		"second": {"given-1", 1, []bool{false, true, false}},
		"super":  {"given", 0, []bool{true, true, true}},
	} {
		src := c.nodes[name].source()
		s, err := src.Status(t.Context())
		if err != nil || s.Base != want.base || s.Family != want.family || s.Families != 2 {
			t.Errorf("%s: base %q of family %d (%d families), %v; want %q of %d", name, s.Base, s.Family, s.Families, err, want.base, want.family)
		}
		models, err := src.Models(t.Context())
		if err != nil || len(models) != 3 {
			t.Fatalf("%s: %d models, %v", name, len(models), err)
		}
		var stored []bool
		for _, m := range models {
			stored = append(stored, m.Stored)
		}
		if !slices.Equal(stored, want.stored) {
			t.Errorf("%s: stores %v of the bases, want %v", name, stored, want.stored)
		}
		a, err := src.Adapter(t.Context(), "")
		if err != nil || a.Of != "aggregate" || a.Base.Family != want.family || !a.Base.Stored {
			t.Errorf("%s: adapter %+v, %v; want one of family %d", name, a, err, want.family)
		}
	}
	for _, m := range c.nodes {
		m.halt()
	}
	super := c.nodes["super"]
	store, err := openStore(super.home.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	l, err := newLedger(store)
	if err != nil {
		t.Fatal(err)
	}
	authors := func(a *aggregateEntry, name string) (all [][]string) {
		for _, part := range a.body.Components {
			if part.Name != name {
				continue
			}
			var from []string
			for _, in := range part.Inputs {
				for _, d := range l.round(1) {
					if d.cid == in.Delta {
						from = append(from, d.Author.String())
					}
				}
			}
			slices.Sort(from)
			all = append(all, from)
		}
		slices.SortFunc(all, slices.Compare)
		return all
	}
	one, two := peerID(t, first), peerID(t, second)
	if one > two {
		one, two = two, one
	}
	a := l.newest(nil)
	if got := authors(a, "lora"); len(got) != 2 || !slices.Equal(got[0], []string{one}) || !slices.Equal(got[1], []string{two}) {
		t.Errorf("LoRA is averaged over %v, want over each family alone", got)
	}
	if got := authors(a, "encoder/image"); len(got) != 1 || !slices.Equal(got[0], []string{one, two}) {
		t.Errorf("the encoder is averaged over %v, want over both families", got)
	}
}

// TestLateDeltaCountsLess: a delta that arrives when its round is over counts in the next, at the method's discount.
func TestLateDeltaCountsLess(t *testing.T) {
	// A second delta on time never comes: rounds close at the deadline, and leave the late one time to arrive.
	c := newCluster(t, record.RoundPolicy{Quorum: 1, Min: 2, Deadline: 1500})
	c.nodes["super"].start()
	fast := c.join("fast")
	fast.start()
	late := c.join("late")
	fast.until("has seen round 1 close", func(s *api.Status) bool { return s.Round >= 1 })
	rounds, err := fast.source().Rounds(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	start, err := cid.Decode(rounds[0].Aggregate)
	if err != nil {
		t.Fatal(err)
	}
	publishLate(t, late, 1, start)

	var found api.Input
	var closed api.Round
	fast.until("sees the late delta counted", func(*api.Status) bool {
		rounds, err := fast.source().Rounds(t.Context(), api.Window{})
		if err != nil {
			return false
		}
		for _, r := range rounds {
			for _, in := range r.Inputs {
				if in.Author == peerID(t, late) {
					found, closed = in, r
				}
			}
		}
		return closed.Round > 0
	})
	if found.Round != 1 || closed.Round < 2 || len(closed.Inputs) != 2 {
		t.Errorf("round %d counts %+v among %d inputs", closed.Round, found, len(closed.Inputs))
	}
	share := math.Pow(tinyMethod().Stale, float64(closed.Round-1))
	if want := share / (1 + share); math.Abs(found.Weight-want) > 1e-9 {
		t.Errorf("in round %d the late delta weighs %v, want %v", closed.Round, found.Weight, want)
	}
	for _, name := range []string{"fast", "super"} {
		c.nodes[name].halt()
	}
}

// publishLate publishes a delta of a round, which began with the aggregate start, in the name of an edge that does not run, and serves its
// blobs until the test ends.
func publishLate(t *testing.T, m *member, round uint64, start cid.Cid) {
	t.Helper()
	store, err := openStore(m.home.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	member, err := loadMembership(store)
	if err != nil {
		t.Fatal(err)
	}
	g, err := loadGenesis(store, member.Federation)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := m.home.Config()
	if err != nil {
		t.Fatal(err)
	}
	key, err := m.home.identity()
	if err != nil {
		t.Fatal(err)
	}
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	network, err := m.home.openNetwork(store, cfg, member, g, quiet(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- network.Serve(t.Context()) }()
	t.Cleanup(func() {
		<-served
		network.Close()
	})

	lora := untrainedLora(t, store, g)
	codec, err := adapter.ParseCodec(g.method.Codec)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := codec.Encode(lora)
	if err != nil {
		t.Fatal(err)
	}
	component, err := putComponent(store, lora, method.Blob{Codec: codec.Name(), Bytes: raw})
	if err != nil {
		t.Fatal(err)
	}
	kind, body, err := record.NewBody(&record.Delta{
		Round: round, Base: g.Bases.Edge[0].Blob.CID, Modalities: modalityNames(g), Rows: 8, Components: []record.Component{component},
	})
	if err != nil {
		t.Fatal(err)
	}
	seq, err := store.NextSeq(self)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Sign(key, record.Record{Version: record.Version, Kind: kind, Federation: g.id, Seq: seq, Parents: []cid.Cid{start}, Created: 1, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if err := network.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// untrainedLora is that of an edge of the first family.
func untrainedLora(t *testing.T, store *storage.Store, g *genesis) adapter.Component {
	t.Helper()
	base, err := loadBase(store, g.Bases.Edge[0])
	if err != nil {
		t.Fatal(err)
	}
	_, shapes := g.specs(modalityNames(g))
	all, err := method.Initial(g.method, base, shapes)
	if err != nil {
		t.Fatal(err)
	}
	return all["lora"]
}
