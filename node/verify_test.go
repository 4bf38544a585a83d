package node

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// checkProvenance: any member can recompute every aggregate bit for bit, and walk from the last one to the genesis.
func checkProvenance(t *testing.T, name string, src api.Source, rounds []api.Round) {
	t.Helper()
	for _, r := range rounds {
		v, err := src.Verify(t.Context(), r.Aggregate)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if v.Verdict != api.VerdictVerified || len(v.Components) == 0 || v.Round != r.Round || len(v.Disputes) != 0 {
			t.Errorf("%s: verification of round %d: %+v", name, r.Round, v)
		}
		if name != "super" && !slices.Contains([]string{api.VerdictChecked, api.VerdictVerified}, r.Verdict) {
			t.Errorf("%s took over round %d with verdict %q", name, r.Round, r.Verdict)
		}
	}
	last := rounds[len(rounds)-1]
	l, err := src.Lineage(t.Context(), last.Aggregate[:30], 0)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	kinds := map[string]int{}
	place := map[string]int{}
	for i, r := range l.Records {
		kinds[r.Kind]++
		place[r.CID] = i
	}
	for _, r := range l.Records {
		for _, p := range r.Parents {
			if at, ok := place[p]; !ok || at <= place[r.CID] {
				t.Errorf("%s: parent %s of %s is at %d (there: %v)", name, p, r.CID, at, ok)
			}
		}
	}
	inputs := 0
	for _, r := range rounds {
		inputs += len(r.Inputs)
	}
	if kinds["aggregate"] != len(rounds) || kinds["contribution"] != len(rounds) || kinds["delta"] != inputs || kinds["federation"] != 1 || len(kinds) != 4 {
		t.Errorf("%s: the lineage of the last aggregate has %v", name, kinds)
	}
	if l.Records[0].CID != last.Aggregate || l.Records[len(l.Records)-1].Kind != "federation" {
		t.Errorf("%s: the lineage goes from %+v to %+v", name, l.Records[0], l.Records[len(l.Records)-1])
	}
}

// learnWithTwo starts the super-peer and two edges of different modalities, and waits until all rounds are over.
func (c *cluster) learnWithTwo() {
	c.t.Helper()
	c.nodes["super"].start()
	c.join("a").start()
	c.join("b", "sensor").start()
	for _, m := range c.nodes {
		m.until("is done", isDone)
	}
}

// TestVotesAreVerified: whoever has the inputs of an aggregate by votes can recompute it, as a mean.
func TestVotesAreVerified(t *testing.T) {
	c := newClusterOf(t, 1, record.RoundPolicy{Rounds: 2, Quorum: 1, Min: 2, Deadline: 60_000}, func(cfg *method.Config) { cfg.Rule = method.RuleMedian })
	c.learnWithTwo()
	for name, m := range c.nodes {
		rounds, err := m.source().Rounds(t.Context(), api.Window{})
		if err != nil {
			t.Fatal(err)
		}
		checkProvenance(t, name, m.source(), rounds)
		v, err := m.source().Verify(t.Context(), rounds[1].Aggregate)
		if err != nil || v.Components[0].Rule != method.RuleMedian {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

// TestFalseAggregate: what an aggregate may say that its inputs do not is found, and what cannot be told is not called false.
func TestFalseAggregate(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 2, Deadline: 60_000})
	c.learnWithTwo()
	for _, m := range c.nodes {
		m.halt()
	}
	home := c.nodes["super"].home
	store, err := openStore(home.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	v := &view{home: home}
	if err := v.open(store); err != nil {
		t.Fatal(err)
	}
	honest := v.recent.newest(nil)
	of := func(body *record.Aggregate, name string) *record.AggregatedComponent {
		i := slices.IndexFunc(body.Components, func(c record.AggregatedComponent) bool { return c.Name == name && len(c.Inputs) == 3 })
		if i < 0 {
			t.Fatalf("no component %s of all nodes in %+v", name, body.Components)
		}
		return &body.Components[i]
	}
	for _, tc := range []struct {
		name    string
		change  func(*aggregateEntry)
		verdict string
		detail  string
	}{
		{"as it is", func(*aggregateEntry) {}, api.VerdictVerified, ""},
		{"another blob", func(a *aggregateEntry) { of(a.body, "lora").Blob = of(a.body, "encoder/sensor").Blob }, api.VerdictFalse, "another blob"},
		{"other weights", func(a *aggregateEntry) {
			w := of(a.body, "lora").Inputs
			w[0].Weight, w[1].Weight = w[0].Weight/2, w[1].Weight+w[0].Weight/2
		}, api.VerdictFalse, "weights"},
		{"an input left out of a component", func(a *aggregateEntry) { p := of(a.body, "lora"); p.Inputs = p.Inputs[1:] }, api.VerdictFalse, "weights"},
		{"an input by another author", func(a *aggregateEntry) { a.body.Inputs[0].Author = a.Author }, api.VerdictFalse, "another author"},
		{"an input that is no delta", func(a *aggregateEntry) { a.body.Inputs[0].Delta = a.Parents[0] }, api.VerdictFalse, "no delta"},
		{"an input that is no parent", func(a *aggregateEntry) { a.Parents = a.Parents[:2] }, api.VerdictFalse, "parents"},
		{"a contribution of another round", func(a *aggregateEntry) { a.body.Round = 7 }, api.VerdictFalse, "another round"},
		{"a contribution that is none", func(a *aggregateEntry) { of(a.body, "lora").Inputs[2].Delta = v.genesis.id }, api.VerdictFalse, "none of its inputs"},
		{"a rule of the future", func(a *aggregateEntry) { of(a.body, "lora").Rule = "oracle" }, api.VerdictUnknown, "oracle"},
		{"an input that is not here", func(a *aggregateEntry) { a.body.Inputs[0].Delta = someFederation }, api.VerdictUnknown, "not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := copyAggregate(t, store, honest.cid)
			tc.change(a)
			got, err := newVerifier(store, v.genesis, v.recent, fetchNothing).run(t.Context(), a, every)
			if err != nil {
				t.Fatal(err)
			}
			var details []string
			for _, p := range got.Components {
				details = append(details, p.Detail)
			}
			if got.Verdict != tc.verdict || !strings.Contains(strings.Join(details, "\n"), tc.detail) {
				t.Errorf("verdict %s because of %q, want %s with %q", got.Verdict, details, tc.verdict, tc.detail)
			}
		})
	}
	t.Run("a blob that is away", func(t *testing.T) {
		d, err := store.Record(honest.body.Inputs[0].Delta)
		if err != nil {
			t.Fatal(err)
		}
		body, err := record.BodyAs[record.Delta](d)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.RemoveBlob(body.Components[0].Blob.CID); err != nil {
			t.Fatal(err)
		}
		got, err := v.Verify(t.Context(), honest.cid.String())
		if err != nil || got.Verdict != api.VerdictUnknown {
			t.Errorf("verdict %+v (%v), want unknown", got, err)
		}
	})
}

// copyAggregate reads an aggregate of its own from the store.
func copyAggregate(t *testing.T, store *storage.Store, id cid.Cid) *aggregateEntry {
	t.Helper()
	r, err := store.Record(id)
	if err != nil {
		t.Fatal(err)
	}
	body, err := record.BodyAs[record.Aggregate](r)
	if err != nil {
		t.Fatal(err)
	}
	return &aggregateEntry{Record: r.Record, cid: r.CID, body: body}
}

// TestLyingSuperPeer: edges refuse an aggregate that its inputs do not give, and tell everybody.
func TestLyingSuperPeer(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 0, Quorum: 1, Min: 2, Deadline: 60_000})
	liar := c.nodes["super"]
	liar.start()
	edges := []*member{c.join("a"), c.join("b")}
	for _, e := range edges {
		e.start()
	}
	liar.until("closed round 1", func(s *api.Status) bool { return s.Round >= 1 })
	liar.halt()
	lie(t, liar.home, func() {
		for _, e := range edges {
			e.until("refuses the aggregate", func(s *api.Status) bool { return s.Disputed == 1 && strings.Contains(s.Error, errFalse.Error()) })
			rounds, err := e.source().Rounds(t.Context(), api.Window{})
			if err != nil {
				t.Fatal(err)
			}
			last := rounds[len(rounds)-1]
			if last.Verdict != api.VerdictFalse || last.Disputes == 0 {
				t.Errorf("the false round is %+v", last)
			}
			scores, err := e.source().Scores(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(scores.Together); scores.Together[n-1].Round >= last.Round {
				t.Errorf("an edge has scores of the false round: %+v", scores.Together)
			}
			peers, err := e.source().Peers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range peers {
				if flagged := p.Disputed > 0; flagged != (p.PeerID == peerID(t, liar)) {
					t.Errorf("peer %s has %d disputed aggregates", p.Name, p.Disputed)
				}
			}
		}
	})
	for _, e := range edges {
		e.halt()
	}
}

// lie publishes, as the super-peer of a home, an aggregate of the newest deltas that repeats the components of the one before, and then
// calls check while the liar is up.
func lie(t *testing.T, home *Home, check func()) {
	t.Helper()
	n, err := New(home, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n.store, err = openStore(home.Dir); err != nil {
		t.Fatal(err)
	}
	defer n.store.Close()
	if err := n.assemble(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- n.network.Serve(ctx) }()
	defer func() {
		cancel()
		<-served
	}()
	defer n.network.Subscribe(func(r *record.Signed) { n.ledger.add(r) })()
	before := n.ledger.newest(nil)
	round := before.body.Round + 1
	for deadline := time.Now().Add(30 * time.Second); len(n.ledger.round(round)) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d deltas of round %d arrived", len(n.ledger.round(round)), round)
		}
	}
	body := copyAggregate(t, n.store, before.cid).body
	own := before.body.Components[0].Inputs
	contribution, err := n.store.Record(own[len(own)-1].Delta)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := record.BodyAs[record.Contribution](contribution)
	if err != nil {
		t.Fatal(err)
	}
	cb.Round = round
	kind, encoded, err := record.NewBody(cb)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := n.publish(ctx, kind, encoded, []cid.Cid{before.cid})
	if err != nil {
		t.Fatal(err)
	}
	body.Round, body.Inputs = round, nil
	parents := []cid.Cid{before.cid, mine.CID}
	for _, d := range n.ledger.round(round) {
		body.Inputs = append(body.Inputs, record.Input{Delta: d.cid, Round: d.body.Round, Author: d.Author, Modalities: d.body.Modalities, Weight: 0.5})
		parents = append(parents, d.cid)
	}
	for i := range body.Components {
		body.Components[i].Inputs = []record.ComponentWeight{{Delta: body.Inputs[0].Delta, Weight: 0.5}, {Delta: mine.CID, Weight: 0.5}}
	}
	kind, encoded, err = record.NewBody(body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.publish(ctx, kind, encoded, parents); err != nil {
		t.Fatal(err)
	}
	check()
}
