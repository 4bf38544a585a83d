package method_test

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/learn/privacy"
)

func privateEdge(t *testing.T, codec string, clip, dpNoise float64) *method.Edge {
	t.Helper()
	small, _ := testBases(t)
	cfg := codedConfig(codec)
	cfg.DPClip, cfg.DPNoise = clip, dpNoise
	public := withoutTargets(observe("public", 20, noise, both))
	e, err := method.NewEdge(cfg, small, []model.Modality{sensorA}, observe("edge", 12, noise, both), public, method.DefaultShare(), "edge")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func play1(t *testing.T, e *method.Edge, round uint64) *method.Delta {
	t.Helper()
	d, err := e.Round(t.Context(), round, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// distance is the norm of all that a delta has beyond what is known of its components.
func distance(t *testing.T, known map[string]adapter.Component, d *method.Delta) float64 {
	t.Helper()
	var sum float64
	for _, c := range d.Components {
		step, err := c.Minus(known[c.Name])
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range step.Tensors {
			for _, v := range x.Data {
				sum += float64(v) * float64(v)
			}
		}
	}
	return math.Sqrt(sum)
}

// What leaves a node is near to what others know: the aggregate's components, and where it has none, what a model begins with, however
// long the node has learned since.
func TestDeltasAreClipped(t *testing.T) {
	const clip = 0.15
	small, _ := testBases(t)
	known, err := method.Initial(codedConfig("safetensors"), small, []model.Modality{sensorA})
	if err != nil {
		t.Fatal(err)
	}
	free, bound := privateEdge(t, "safetensors", 0, 0), privateEdge(t, "safetensors", clip, 0)
	for round := uint64(1); round <= 3; round++ {
		known["lora"] = filled(known["lora"], float32(round)/8) // no encoder: each edge keeps its own
		for _, e := range []*method.Edge{free, bound} {
			if err := e.Absorb(averaged(known["lora"])); err != nil {
				t.Fatal(err)
			}
		}
		if got := distance(t, known, play1(t, free, round)); got < 2*clip {
			t.Fatalf("round %d: the edge moved by %v; nothing is to be clipped", round, got)
		}
		d := play1(t, bound, round)
		if got := distance(t, known, d); math.Abs(got-clip) > 1e-4 {
			t.Errorf("round %d: a norm of %v leaves the node, want %v", round, got, clip)
		}
		if _, ok := d.Metrics["amt_lm"]; !ok || !math.IsInf(bound.Privacy(), 1) {
			t.Errorf("metrics %v, epsilon %v without noise", d.Metrics, bound.Privacy())
		}
	}
}

func TestNoisyDeltasSayWhatTheyTell(t *testing.T) {
	for _, codec := range []string{"safetensors", "int8", "lowrank:0.02"} {
		t.Run(codec, func(t *testing.T) {
			const dpNoise = 20
			e := privateEdge(t, codec, 0.25, dpNoise)
			if e.Privacy() != 0 {
				t.Errorf("epsilon %v before the first round", e.Privacy())
			}
			for round := uint64(1); round <= 2; round++ {
				d := play1(t, e, round)
				want := map[string]float64{method.MetricEpsilon: privacy.Epsilon(dpNoise, round, method.PrivacyDelta), method.MetricDelta: method.PrivacyDelta}
				if !maps.Equal(d.Metrics, want) {
					t.Errorf("round %d: metrics %v, want %v", round, d.Metrics, want)
				}
				var state bytes.Buffer
				if err := e.WriteState(&state); err != nil {
					t.Fatal(err)
				}
				e = privateEdge(t, codec, 0.25, dpNoise) // as after a restart
				if err := e.ReadState(&state); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := e.Privacy(), privacy.Epsilon(dpNoise, 2, method.PrivacyDelta); got != want {
				t.Errorf("epsilon %v after a restart, want %v", got, want)
			}
		})
	}
}

// The noise of an experiment can be had again, that of a node cannot.
func TestNoiseIsSecretWhereItProtects(t *testing.T) {
	sent := func(secret bool) []byte {
		e := privateEdge(t, "safetensors", 0.25, 1)
		if secret {
			e.SecretNoise()
		}
		d := play1(t, e, 1)
		return slices.Concat(d.Blobs[0].Bytes, d.Blobs[1].Bytes)
	}
	if !bytes.Equal(sent(false), sent(false)) {
		t.Error("an experiment's noise differs from run to run")
	}
	a, b := sent(true), sent(true)
	if bytes.Equal(a, b) || bytes.Equal(a, sent(false)) {
		t.Error("a node's noise can be guessed")
	}
}
