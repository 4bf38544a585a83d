package node

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// checkCountedOnce: the history that m tells of has every round once, and no delta in two of them. It gives that history.
func checkCountedOnce(t *testing.T, m *member) []api.Round {
	t.Helper()
	rounds, err := m.source().Rounds(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]uint64{}
	for i, r := range rounds {
		if i > 0 && r.Round <= rounds[i-1].Round {
			t.Errorf("round %d comes after round %d", r.Round, rounds[i-1].Round)
		}
		for _, in := range r.Inputs {
			if before, ok := counted[in.Delta]; ok {
				t.Errorf("delta %s counts in round %d and in round %d", in.Delta, before, r.Round)
			}
			counted[in.Delta] = r.Round
		}
	}
	return rounds
}

// named are the members of a cluster by peer id.
func (c *cluster) named() map[string]string {
	names := map[string]string{}
	for name, m := range c.nodes {
		names[peerID(c.t, m)] = name
	}
	return names
}

// TestLeaderGoneMidRound: the leader of a round goes while it collects or aggregates. The next super-peer closes that round, and what the
// leader may have published of it by then counts once.
func TestLeaderGoneMidRound(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Quorum: 1, Min: 1, Deadline: 4000})
	c.nodes["super"].start()
	supers := map[string]*member{"super": c.nodes["super"], "second": c.joinAs(record.RoleSuper, "second")}
	supers["second"].start()
	one, two := c.join("one"), c.join("two", "sensor")
	one.start()
	two.start()
	one.until("has seen a few rounds", func(s *api.Status) bool { return s.Round >= 2 })

	var leader string
	var during uint64
	working := func(s *api.Status) bool { return slices.Contains([]string{phaseCollecting, "mma", "se-ccl"}, s.Phase) }
	for deadline := time.Now().Add(time.Minute); leader == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no super-peer was seen at work")
		}
		for name, m := range supers {
			if s := m.until("answers", func(*api.Status) bool { return true }); working(s) {
				leader, during = name, s.Round+1
				break
			}
		}
	}
	supers[leader].halt()
	left := supers[map[string]string{"super": "second", "second": "super"}[leader]]
	for _, m := range []*member{left, one, two} {
		m.until("goes on without the leader", func(s *api.Status) bool { return s.Round >= during+3 })
	}
	rounds := checkCountedOnce(t, one)
	for i := uint64(0); i <= during+2; i++ {
		if !slices.ContainsFunc(rounds, func(r api.Round) bool { return r.Round == i }) {
			t.Errorf("round %d is not in the history", i)
		}
	}
	if last := rounds[len(rounds)-1]; last.Leader != peerID(t, left) {
		t.Errorf("round %d was closed by %s, want the super-peer that is left", last.Round, c.named()[last.Leader])
	}
	for _, m := range []*member{left, one, two} {
		m.halt()
	}
}

// TestLateSuperPeer: a super-peer that joins after some rounds takes over the newest checkpoint, and leads its share of the rounds from then on.
func TestLateSuperPeer(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Quorum: 1, Min: 1, Deadline: 2000})
	c.nodes["super"].start()
	edge := c.join("edge")
	edge.start()
	edge.until("has seen a few rounds", func(s *api.Status) bool { return s.Round >= 3 })
	late := c.joinAs(record.RoleSuper, "late")
	late.start()
	leads := func(m *member) func(*api.Status) bool {
		return func(*api.Status) bool {
			rounds, err := edge.source().Rounds(t.Context(), api.Window{})
			return err == nil && slices.ContainsFunc(rounds, func(r api.Round) bool { return r.Leader == peerID(t, m) && r.Round > 3 })
		}
	}
	edge.until("sees the late one lead", leads(late))
	rounds := checkCountedOnce(t, edge)
	if rounds[0].Leader != peerID(t, c.nodes["super"]) {
		t.Errorf("round 0 is %s's", c.named()[rounds[0].Leader])
	}
	scores, err := late.source().Scores(t.Context())
	if err != nil || len(scores.Together) == 0 || scores.Together[0].Round < 3 {
		t.Errorf("the late one has scores %+v (%v), want some from the newest round on", scores, err)
	}
	for _, m := range c.nodes {
		m.halt()
	}
}

// TestCloudless: all super-peers are gone for three rounds. The edges go on by themselves, and the first aggregate afterwards includes what
// they did.
func TestCloudless(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Quorum: 1, Min: 1, Deadline: 1500})
	super := c.nodes["super"]
	super.start()
	edges := []*member{c.join("one"), c.join("two", "sensor"), c.join("three", "image")}
	for _, e := range edges {
		e.start()
	}
	for _, e := range edges {
		e.until("has seen a round", func(s *api.Status) bool { return s.Round >= 1 })
	}
	super.halt()
	gone := edges[0].until("answers", func(*api.Status) bool { return true }).Round
	for _, e := range edges {
		e.until("does three rounds without a super-peer", func(s *api.Status) bool {
			return s.Cloudless && s.Round == gone && newestDelta(t, e).Round >= gone+4
		})
		if d := newestDelta(t, e); len(d.Parents) < 3 {
			t.Errorf("the delta of round %d names %d parents, want the aggregate, its own before and another edge's", d.Round, len(d.Parents))
		}
	}
	super.start()
	var first api.Round
	edges[0].until("sees an aggregate again", func(*api.Status) bool {
		rounds, err := edges[0].source().Rounds(t.Context(), api.Window{})
		i := slices.IndexFunc(rounds, func(r api.Round) bool { return r.Round > gone })
		if err == nil && i >= 0 {
			first = rounds[i]
		}
		return first.Round > 0
	})
	if first.Round < gone+3 || len(first.Inputs) != len(edges) {
		t.Errorf("the first aggregate is of round %d with %d inputs, the edges were %d rounds on from %d", first.Round, len(first.Inputs), 3, gone)
	}
	for _, in := range first.Inputs {
		d, err := edges[1].source().Delta(t.Context(), in.Delta)
		if err != nil || len(d.Parents) < 3 {
			t.Errorf("input %s names %d parents (%v), want it to rest on what the edges merged", in.Delta, len(d.Parents), err)
		}
	}
	v, err := edges[1].source().Verify(t.Context(), first.Aggregate)
	if err != nil || v.Verdict != api.VerdictVerified {
		t.Errorf("verification of the first aggregate: %+v, %v", v, err)
	}
	for _, e := range edges {
		e.until("folds back in", func(s *api.Status) bool { return !s.Cloudless && s.Round > first.Round+1 })
		checkCountedOnce(t, e)
	}
	checkOneDeltaARound(t, edges[0].source())
	for _, m := range c.nodes {
		m.halt()
	}
}

// newestDelta is m's own delta of the last round that it knows.
func newestDelta(t *testing.T, m *member) (newest api.Delta) {
	t.Helper()
	src, closeSource, err := m.home.Source()
	if err != nil {
		t.Fatal(err)
	}
	defer closeSource()
	deltas, err := src.Deltas(context.WithoutCancel(t.Context()), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deltas {
		if d.Author == peerID(t, m) && d.Round >= newest.Round {
			newest = d
		}
	}
	return newest
}
