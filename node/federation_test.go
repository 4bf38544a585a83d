package node

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

func isDone(s *api.Status) bool { return s.Done }

// TestFederation: a super-peer and two edges of different modalities learn two rounds together, and every node knows the same history.
func TestFederation(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 2, Quorum: 1, Min: 2, Deadline: 60_000})
	c.nodes["super"].start()
	both, one := c.join("both"), c.join("one", "sensor")
	both.start()
	one.start()
	for _, m := range c.nodes {
		m.until("is done", isDone)
	}
	var history []api.Round
	for name, m := range c.nodes {
		src := m.source()
		rounds, err := src.Rounds(t.Context(), api.Window{})
		if err != nil {
			t.Fatal(err)
		}
		if history == nil {
			history = rounds
		}
		checkHistory(t, name, rounds, history)
		for _, r := range rounds {
			for _, in := range r.Inputs {
				d, err := src.Delta(t.Context(), in.Delta)
				if err != nil {
					t.Errorf("%s: input of round %d: %v", name, r.Round, err)
				} else if d.CID != in.Delta || d.Author != in.Author || !slices.Equal(d.Modalities, in.Modalities) {
					t.Errorf("%s: delta %+v, the aggregate says %+v", name, d, in)
				}
			}
		}
		checkScores(t, name, src)
		checkAdapter(t, name, src, rounds)
		checkEvents(t, name, m, rounds)
		checkProvenance(t, name, src, rounds)
	}
	status := one.until("shows its modality", func(s *api.Status) bool { return slices.Equal(s.Modalities, []string{"sensor"}) })
	if status.Role != "edge" || status.TrainRows != 8 || status.TestRows != 4 || status.PublicRows != 12 || status.ParamsTrainable == 0 || status.BytesReceived == 0 {
		t.Errorf("status %+v", status)
	}
	for _, m := range c.nodes {
		m.halt()
	}
	checkStopped(t, one, history)
	checkSecretsAreKept(t, c)
}

func checkHistory(t *testing.T, name string, got, want []api.Round) {
	t.Helper()
	if len(got) != 3 || len(want) != 3 {
		t.Fatalf("%s knows %d rounds, want 0, 1 and 2", name, len(got))
	}
	for i := range got {
		if got[i].Aggregate != want[i].Aggregate || got[i].Round != uint64(i) {
			t.Errorf("%s: round %d is %s, elsewhere %s", name, got[i].Round, got[i].Aggregate, want[i].Aggregate)
		}
		if n := len(got[i].Inputs); n != min(i, 1)*2 {
			t.Errorf("%s: round %d has %d inputs", name, i, n)
		}
		total := 0.0
		for _, in := range got[i].Inputs {
			total += in.Weight
		}
		if i > 0 && (total < 0.999 || total > 1.001) {
			t.Errorf("%s: weights of round %d sum to %v", name, i, total)
		}
	}
}

func checkScores(t *testing.T, name string, src api.Source) {
	t.Helper()
	s, err := src.Scores(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rounds := func(list []api.RoundScore) (r []uint64) {
		for _, s := range list {
			r = append(r, s.Round)
		}
		return r
	}
	want := []uint64{0, 1, 2}
	if s.TestRows != 4 || s.Constant == nil || !slices.Equal(rounds(s.Together), want) {
		t.Errorf("%s: scores %+v", name, s)
	}
	if name != "super" && !slices.Equal(rounds(s.Standalone), want) {
		t.Errorf("%s: standalone scores of rounds %v, want %v", name, rounds(s.Standalone), want)
	}
}

// checkStopped: a stopped node's home tells what the running node told.
func checkStopped(t *testing.T, m *member, history []api.Round) {
	t.Helper()
	src := m.source()
	s, err := src.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Running || s.Phase != phaseStopped || !s.Done || s.Round != 2 || s.FedName != "tiny" || !slices.Equal(s.Modalities, []string{"sensor"}) {
		t.Errorf("status of the stopped node %+v", s)
	}
	rounds, err := src.Rounds(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	checkHistory(t, "the stopped node", rounds, history)
	checkScores(t, "the stopped node", src)
	checkAdapter(t, "the stopped node", src, history)
	d, err := src.Delta(t.Context(), history[2].Inputs[0].Delta[:40])
	if err != nil || d.CID != history[2].Inputs[0].Delta {
		t.Errorf("delta by prefix: %+v, %v", d, err)
	}
	if _, err := src.Delta(t.Context(), "bafy"); err == nil || !strings.Contains(err.Error(), "ambiguous") || !strings.Contains(err.Error(), "there are bafyrei") {
		t.Errorf("delta by a prefix of all: %v", err)
	}
	models, err := src.Models(t.Context())
	if err != nil || len(models) != 2 || !models[0].Stored || models[0].Layers != 1 || models[1].Stored {
		t.Errorf("models %+v (%v), want the edges' stored and the super-peers' not", models, err)
	}
	peers, err := src.Peers(t.Context())
	if err != nil || len(peers) != 2 {
		t.Errorf("peers %+v (%v), want the other two", peers, err)
	}
}

// checkSecretsAreKept: key files are the owner's alone, and their content is in no log.
func checkSecretsAreKept(t *testing.T, c *cluster) {
	t.Helper()
	for name, m := range c.nodes {
		for _, file := range []string{identityFile, founderFile} {
			path := m.home.path(file)
			info, err := os.Stat(path)
			if err != nil {
				if file == identityFile || name == "super" {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s has mode %o", name, file, info.Mode().Perm())
			}
			secret, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for other, o := range c.nodes {
				if strings.Contains(o.logs.String(), strings.TrimSpace(string(secret))) {
					t.Errorf("%s of %s is in the log of %s", file, name, other)
				}
			}
		}
	}
}

// TestRestart: a node that is stopped in the middle of a round goes on when started again, and no edge publishes two deltas for one round.
func TestRestart(t *testing.T) {
	cases := []struct {
		name, who string
		amid      func(*api.Status) bool
	}{
		{"an edge that trains", "broken", func(s *api.Status) bool { return s.Round >= 1 && (s.Phase == "ccl" || s.Phase == "amt") || s.Round > 1 }},
		{"the super-peer that collects", "super", func(s *api.Status) bool { return s.Round >= 1 }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, record.RoundPolicy{Rounds: 4, Quorum: 0.5, Min: 1, Deadline: 500})
			c.nodes["super"].start()
			c.join("steady").start()
			c.join("broken", "image").start()
			m := c.nodes[tc.who]
			m.until("is in the middle of a round", tc.amid)
			m.halt()
			m.start()
			for _, m := range c.nodes {
				m.until("is done", isDone)
			}
			checkOneDeltaARound(t, c.nodes["super"].source())
			for _, m := range c.nodes {
				m.halt()
			}
		})
	}
}

func checkOneDeltaARound(t *testing.T, src api.Source) {
	t.Helper()
	deltas, err := src.Deltas(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, d := range deltas {
		key := fmt.Sprint(d.AuthorName, d.Round)
		if other, ok := seen[key]; ok {
			t.Errorf("%s published %s and %s for round %d", d.AuthorName, other, d.CID, d.Round)
		}
		seen[key] = d.CID
	}
	if len(seen) < 4 { // one edge alone makes one a round
		t.Errorf("%d deltas in 4 rounds", len(seen))
	}
}

// TestTakeover: of two super-peers one leads and the other follows its checkpoints; when the leader is gone, the other goes on.
func TestTakeover(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 0, Quorum: 1, Min: 1, Deadline: 2000}) // endless
	first := c.nodes["super"]
	first.start()
	second := c.joinAs(record.RoleSuper, "second")
	second.start()
	edge := c.join("edge", "sensor")
	edge.start()
	leader, other := first, second
	if leaderOf(t, second, 1) != peerID(t, first) {
		leader, other = second, first
	}
	other.until("scored a round that the other closed", func(*api.Status) bool {
		scores, err := other.source().Scores(t.Context())
		return err == nil && slices.ContainsFunc(scores.Together, func(r api.RoundScore) bool { return r.Round >= 1 })
	})
	leader.halt()
	last := other.until("answers", func(*api.Status) bool { return true }).Round
	if got := leaderOf(t, edge, last+2); got != peerID(t, other) {
		t.Errorf("the leader of round %d is %s, want %s", last+2, got, peerID(t, other))
	}
	other.halt()
	edge.halt()
}

// leaderOf waits until m knows round, and tells who closed it.
func leaderOf(t *testing.T, m *member, round uint64) string {
	t.Helper()
	m.until(fmt.Sprintf("knows round %d", round), func(s *api.Status) bool { return s.Round >= round })
	rounds, err := m.source().Rounds(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	return rounds[round].Leader
}

func peerID(t *testing.T, m *member) string {
	t.Helper()
	id, err := m.home.PeerID()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}
