package method_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// testWorld has nodes with all, the first, and the second modality.
func testWorld(t testing.TB) method.World {
	t.Helper()
	small, large := testBases(t)
	w := method.World{
		Config: testConfig(), Large: large, Small: []*model.Base{small}, Modalities: both,
		Public: observe("public", 20, noise, both), Share: method.DefaultShare(), Stream: "super",
	}
	for i, modalities := range edgeModalities {
		name := fmt.Sprintf("edge-%d", i)
		w.Nodes = append(w.Nodes, method.Node{Stream: name, Modalities: modalities, Private: observe(name, 12, noise, modalities)})
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

// Every method runs, twice to the same bits, and its models answer.
func TestEveryMethodRunsToTheSameBits(t *testing.T) {
	ctx := context.Background()
	for _, name := range method.Methods() {
		t.Run(name, func(t *testing.T) {
			w := testWorld(t)
			if !reflect.DeepEqual(play(t, name, w, 2), play(t, name, w, 2)) {
				t.Error("two runs, two outcomes")
			}
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
