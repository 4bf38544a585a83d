package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// TestPolicy: the founder pauses a federation, changes its rounds and lets it go on, and every node does so. Nobody else can.
func TestPolicy(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Quorum: 1, Min: 1, Deadline: 60_000})
	founder := c.nodes["super"]
	founder.start()
	edge := c.join("edge", "sensor")
	edge.start()
	edge.until("has seen a round", func(s *api.Status) bool { return s.Round >= 1 && s.Policy.Record == s.Federation })

	yes, no, why := true, false, "moving"
	if _, err := edge.home.ChangePolicy(t.Context(), api.PolicyChange{Paused: &yes}); err == nil || !strings.Contains(err.Error(), "founder") {
		t.Errorf("an edge changes the policy: %v", err)
	}
	if _, err := founder.home.ChangePolicy(t.Context(), api.PolicyChange{Paused: &yes, Reason: &why}); err != nil {
		t.Fatal(err)
	}
	var paused *api.Status
	for _, m := range []*member{edge, founder} {
		paused = m.until("is paused", func(s *api.Status) bool {
			return s.Phase == phasePaused && s.Policy.Paused && s.Policy.Reason == why
		})
	}
	time.Sleep(2 * time.Second) // several rounds' time
	for _, m := range []*member{edge, founder} {
		if s := m.until("answers", func(*api.Status) bool { return true }); s.Round != paused.Round {
			t.Errorf("round %d was closed in a pause that began at %d", s.Round, paused.Round)
		}
	}

	quorum := 2.0
	if _, err := founder.home.ChangePolicy(t.Context(), api.PolicyChange{Quorum: &quorum}); err == nil || !strings.Contains(err.Error(), "quorum") {
		t.Errorf("a quorum of 2: %v", err)
	}
	last, steps, deadline := paused.Round+3, uint64(5), int64(30_000)
	if _, err := founder.home.ChangePolicy(t.Context(), api.PolicyChange{Paused: &no, Rounds: &last, AMTSteps: &steps, Deadline: &deadline}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*member{edge, founder} {
		s := m.until("goes on to the last round", func(s *api.Status) bool {
			return s.Round == last && s.Phase == phaseDone || s.Phase == phaseBaseline && s.Round == last
		})
		if s.Rounds != last || s.Policy.Reason != why || s.Policy.AMTSteps != steps || s.Policy.CCLSteps != uint64(tinyMethod().CCLSteps) {
			t.Errorf("policy %+v in a federation of %d rounds", s.Policy, s.Rounds)
		}
	}
	edge.halt()
	founder.halt()

	more := last + 1
	p, err := founder.home.ChangePolicy(t.Context(), api.PolicyChange{Rounds: &more}) // while nobody runs
	if err != nil || p.Rounds != more || p.Deadline != deadline {
		t.Fatalf("policy %+v, %v", p, err)
	}
	founder.start()
	edge.start()
	for _, m := range []*member{edge, founder} {
		m.until("does one more round", func(s *api.Status) bool { return s.Round == more })
		m.halt()
	}
	// What was adapted to the aggregate as to the last one is given up: the next delta rests on the aggregate itself.
	if n := strings.Count(edge.logs.String(), fmt.Sprintf("msg=absorbed in=learner round=%d ", last)); n != 2 {
		t.Errorf("the edge took over the aggregate of round %d %d times, want once before and once after the change", last, n)
	}
}

// The last policy of the founder is in force, in whatever order they arrive, and nobody else's ever.
func TestPolicyInForce(t *testing.T) {
	g := &genesis{id: someFederation, Federation: &record.Federation{Founder: idOf(t, 1), Policy: record.RoundPolicy{Rounds: 3, Deadline: 1000}}, method: tinyMethod()}
	ruling := func(seed byte, seq, rounds uint64) *record.Signed {
		return sign(t, seed, seq, time.Now().UnixMilli(), &record.Policy{
			Round: record.RoundPolicy{Rounds: rounds, Deadline: 1}, Steps: record.Steps{AMT: 1, Cloud: 1}, KeepRounds: 5,
		})
	}
	l := emptyLedger()
	if p := g.policy(l); p.Round != g.Policy || p.Steps.Cloud != uint64(tinyMethod().CloudSteps) || g.keepRounds(l, Config{KeepRounds: 8}) != 8 {
		t.Errorf("without a policy: %+v", p)
	}
	l.add(ruling(2, 9, 99))
	l.add(ruling(1, 3, 30))
	l.add(ruling(1, 2, 20))
	if p := g.policy(l); p.Round.Rounds != 30 {
		t.Errorf("the last round is %d, want that of the founder's last policy", p.Round.Rounds)
	}
	for config, want := range map[int]int{8: 5, 0: 0} {
		if got := g.keepRounds(l, Config{KeepRounds: config}); got != want {
			t.Errorf("with keep_rounds %d, %d rounds are kept, want %d", config, got, want)
		}
	}
}
