package node

import (
	"testing"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/privacy"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// TestPrivacyIsTold: in a federation with differential privacy an edge's deltas say what they tell of its rows, and nothing else of its
// training, and its status says the same. Nobody else's status does.
func TestPrivacyIsTold(t *testing.T) {
	const rounds, noise = 2, 30
	c := newClusterOf(t, 1, record.RoundPolicy{Rounds: rounds, Quorum: 1, Min: 1, Deadline: 60_000}, func(m *method.Config) { m.DPClip, m.DPNoise = 0.5, noise })
	c.nodes["super"].start()
	edge := c.join("edge")
	edge.start()
	for _, m := range c.nodes {
		m.until("is done", isDone)
	}
	want := api.Privacy{Clip: 0.5, Noise: noise, Epsilon: privacy.Epsilon(noise, rounds, method.PrivacyDelta), Delta: method.PrivacyDelta}
	if s, err := edge.source().Status(t.Context()); err != nil || s.Privacy == nil || *s.Privacy != want {
		t.Errorf("status: %+v, %v; want %+v", s.Privacy, err, want)
	}
	if s, err := c.nodes["super"].source().Status(t.Context()); err != nil || s.Privacy != nil {
		t.Errorf("the super-peer's status: %+v, %v", s.Privacy, err)
	}
	deltas, err := edge.source().Deltas(t.Context(), api.Window{})
	if err != nil || len(deltas) != rounds {
		t.Fatalf("%v, %v", deltas, err)
	}
	for _, d := range deltas {
		if m := d.Metrics; len(m) != 2 || m[method.MetricEpsilon] != privacy.Epsilon(noise, d.Round, method.PrivacyDelta) || m[method.MetricDelta] != method.PrivacyDelta {
			t.Errorf("round %d: metrics %v", d.Round, m)
		}
	}
}
