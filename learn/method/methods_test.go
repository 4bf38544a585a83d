package method_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// testWorld has nodes with all, the first, and the second modality, and different numbers of rows.
func testWorld(t testing.TB) method.World {
	t.Helper()
	small, large := testBases(t)
	w := method.World{
		Config: testConfig(), Large: large, Small: []*model.Base{small}, Modalities: both,
		Public: observe("public", 20, noise, both), Share: method.DefaultShare(), Stream: "super",
	}
	for i, modalities := range edgeModalities {
		name := fmt.Sprintf("edge-%d", i)
		w.Nodes = append(w.Nodes, method.Node{Stream: name, Modalities: modalities, Private: observe(name, 12-2*i, noise, modalities)})
	}
	return w
}

// familiesWorld has three such nodes of each of two families, which share no structure.
func familiesWorld(t testing.TB) method.World {
	t.Helper()
	w := testWorld(t)
	other, err := otherBase()
	if err != nil {
		t.Fatal(err)
	}
	w.Config.Families = []method.Family{{Width: 3, Projection: 6, Fused: 12, Rank: 4}}
	w.Small = append(w.Small, other)
	for i, n := range w.Nodes {
		n.Stream, n.Family = fmt.Sprintf("other-%d", i), 1
		n.Private = observe(n.Stream, 12, noise, n.Modalities)
		w.Nodes = append(w.Nodes, n)
	}
	return w
}

// outcome is everything that a method leaves.
type outcome struct {
	edges   []map[string]adapter.Component
	server  map[string]adapter.Component
	traffic []method.Traffic
	steps   map[string]int // of each round's calls of Progress, without the aggregation's
}

// play runs a method for a number of rounds after round 0.
func play(t testing.TB, name string, w method.World, rounds uint64) outcome {
	t.Helper()
	ctx := context.Background()
	f, err := method.Start(name, w)
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{steps: map[string]int{}}
	phase := ""
	count := func(stage string, _, _ int, _ float64) {
		if stage != "mma" {
			o.steps[phase]++
		}
	}
	for round := range rounds + 1 {
		phase = fmt.Sprint("round ", round)
		traffic, err := f.Round(ctx, round, count)
		if err != nil {
			t.Fatalf("%s: round %d: %v", name, round, err)
		}
		o.traffic = append(o.traffic, traffic)
	}
	phase = "finish"
	if err := f.Finish(ctx, rounds, count); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for i := range w.Nodes {
		o.edges = append(o.edges, method.ComponentsOf(f.Edge(i)))
	}
	o.server = method.ComponentsOf(f.Server())
	return o
}

// Every method runs, twice to the same bits, whoever sees the targets of public rows, takes the same number of steps, and its models answer.
func TestEveryMethod(t *testing.T) {
	for _, labels := range []string{method.LabelsCloud, method.LabelsEdges} {
		for _, name := range method.Methods() {
			t.Run(labels+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := familiesWorld(t)
				w.Config.PublicLabels = labels
				first := play(t, name, w, 1)
				if !reflect.DeepEqual(first, play(t, name, w, 1)) {
					t.Error("two runs, two outcomes")
				}
				c := w.Config
				models, server := len(w.Nodes), 3*c.CloudSteps
				if name == "standalone" {
					server = c.CloudSteps // and no small models
				}
				want := map[string]int{"round 0": server, "round 1": models*(c.CCLSteps+c.AMTSteps) + server, "finish": models * c.AdaptSteps}
				if !reflect.DeepEqual(first.steps, want) {
					t.Errorf("steps %v, want %v", first.steps, want)
				}
				answers(t, name, w)
			})
		}
	}
}

// answers asks models that have learned nothing yet.
func answers(t *testing.T, name string, w method.World) {
	ctx := context.Background()
	f, err := method.Start(name, w)
	if err != nil {
		t.Fatal(err)
	}
	test := observe("test", 5, noise, both)
	for i := range w.Nodes {
		s, err := f.Edge(i).Evaluate(ctx, test)
		if err != nil || s.Rows != 5 {
			t.Errorf("edge %d: %v, error %v", i, s, err)
		}
		if total, trainable := f.Edge(i).Params(); trainable <= 0 || total <= trainable {
			t.Errorf("edge %d: %d parameters, %d trainable", i, total, trainable)
		}
	}
	if s, err := f.Server().Evaluate(ctx, test); err != nil || s.Rows != 5 {
		t.Errorf("server: %v, error %v", s, err)
	}
}

// What nodes send has the names and sizes that the method speaks of.
func TestTraffic(t *testing.T) {
	all := []string{"connector", "connector/a", "connector/b", "encoder/a", "encoder/b", "lora"}
	for name, want := range map[string]struct{ up, down []string }{
		"standalone":         {},
		"centralised":        {},
		"fedavg-lora":        {[]string{"lora"}, []string{"lora"}},
		"flora":              {[]string{"lora"}, []string{"lora"}},
		"fedavg-zero":        {all, all},
		"creamfl":            {[]string{"representations"}, []string{"representations"}},
		"fedmd":              {[]string{"logits"}, []string{"logits"}},
		"mlecs":              {all, append(slices.Clone(all), "supervision")},
		"mlecs-paper":        {[]string{"lora"}, []string{"lora", "supervision"}},
		"mlecs-no-mma":       {nil, []string{"supervision"}},
		"mlecs-no-connector": {[]string{"encoder/a", "encoder/b", "lora"}, []string{"encoder/a", "encoder/b", "lora", "supervision"}},
		"mlecs-no-encoder": {[]string{"connector", "connector/a", "connector/b", "lora"},
			[]string{"connector", "connector/a", "connector/b", "lora", "supervision"}},
	} {
		traffic := play(t, name, testWorld(t), 1).traffic
		up, down := slices.Sorted(maps.Keys(traffic[1].Up)), slices.Sorted(maps.Keys(traffic[1].Down))
		if !slices.Equal(up, want.up) || !slices.Equal(down, want.down) {
			t.Errorf("%s: sent %v and received %v, want %+v", name, up, down, want)
		}
		if (traffic[1].Params > 0) != slices.Contains(want.up, "lora") || traffic[0].Params != 0 || len(traffic[0].Up) != 0 {
			t.Errorf("%s: %+v", name, traffic)
		}
		for part, n := range traffic[1].Up {
			if n <= 0 {
				t.Errorf("%s: %d bytes of %s", name, n, part)
			}
		}
	}
}

// TestTrafficIsCountedByTheCodecs: whatever the method, and without a change to what the baselines learn.
func TestTrafficIsCountedByTheCodecs(t *testing.T) {
	for _, name := range []string{"fedavg-lora", "flora", "fedavg-zero", "creamfl", "fedmd"} {
		t.Run(name, func(t *testing.T) {
			plain := play(t, name, testWorld(t), 1)
			w := testWorld(t)
			w.Config.Codec, w.Config.AggregateCodec, w.Config.SupervisionCodec = "lowrank:0.02", "int8", "int8"
			coded := play(t, name, w, 1)
			for part, n := range plain.traffic[1].Up {
				if got := coded.traffic[1].Up[part]; 2*got > n {
					t.Errorf("%s: %d bytes up, %d as float32", part, got, n)
				}
			}
			for part, n := range plain.traffic[1].Down {
				if got := coded.traffic[1].Down[part]; 2*got > n {
					t.Errorf("%s: %d bytes down, %d as float32", part, got, n)
				}
			}
			plain.traffic, coded.traffic = nil, nil
			if !reflect.DeepEqual(plain, coded) {
				t.Error("other scores")
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	for want, spoil := range map[string]func(*method.World){
		"batch is 0":            func(w *method.World) { w.Config.Batch = 0 },
		`public_labels is "me"`: func(w *method.World) { w.Config.PublicLabels = "me" },
		"0 small base models":   func(w *method.World) { w.Small = nil },
		"base model is missing": func(w *method.World) { w.Large = nil },
		"0 nodes":               func(w *method.World) { w.Nodes = nil },
		"0 public rows":         func(w *method.World) { w.Public = nil },
		"another node's":        func(w *method.World) { w.Nodes[1].Stream = w.Nodes[0].Stream },
		"there is no family 3":  func(w *method.World) { w.Nodes[2].Family = 3 },
		`"weights" is none of`:  func(w *method.World) { w.Share = []string{"weights"} },
	} {
		w := testWorld(t)
		spoil(&w)
		if _, err := method.Start("mlecs", w); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := method.Start("magic", testWorld(t)); err == nil || !strings.Contains(err.Error(), "there are standalone, ") {
		t.Errorf("an unknown method: %v", err)
	}
}
