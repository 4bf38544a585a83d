package method_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// first is the first value of a component.
func first(c adapter.Component) float32 { return c.Tensors[0].Data[0] }

// TestMerge: the weights are those of an aggregate, what no other edge has stays, and a delta of another structure or kind does not count.
func TestMerge(t *testing.T) {
	share := []string{"lora", "encoder"}
	e := newEdge(t, both, share, "edge")
	before := e.Components()
	start := averaged(before["lora"])
	delta := func(round uint64, rows int, modalities []string, components ...adapter.Component) method.Input {
		return method.InputOf("", method.Delta{Round: round, Rows: rows, Modalities: modalities, Components: components})
	}
	lora, encoder := before["lora"], before["encoder/a"]
	foreign := filled(lora, 100)
	foreign.Signature = "of another base"
	own := delta(5, 10, []string{"a", "b"}, filled(lora, 1), filled(encoder, 1))
	others := []method.Input{
		delta(5, 10, []string{"a"}, filled(lora, 4)),       // half of the modalities
		delta(9, 10, []string{"a", "b"}, filled(lora, 8)),  // ahead: as on time
		delta(4, 10, []string{"a", "b"}, filled(lora, 20)), // a round late
		delta(5, 10, []string{"a", "b"}, foreign, filled(before["connector/a+b"], 9)),
	}
	for v := range 8 { // whatever the order, what claims the edge's signature and has another structure decides nothing
		liar := filled(lora, float32(v))
		liar.Tensors = liar.Tensors[1:]
		others = append(others, delta(5, 10, []string{"a", "b"}, liar))
	}
	if err := e.Merge(5, start, own, others, 2); err != nil {
		t.Fatal(err)
	}
	stale := testConfig().Stale
	want := (1 + 0.5*4 + 8 + stale*20) / (1 + 0.5 + 1 + stale)
	got := e.Components()
	if d := float64(first(got["lora"])) - want; d > 1e-5 || d < -1e-5 {
		t.Errorf("lora is %v, want %v", first(got["lora"]), want)
	}
	for name := range before {
		if name != "lora" && !reflect.DeepEqual(got[name], before[name]) {
			t.Errorf("%s has changed, and no other edge has it, or it is not shared", name)
		}
	}
}

// TestDifferencesAfterAMerge: a receiver that has the last aggregate alone decodes what an edge sends that has merged since.
func TestDifferencesAfterAMerge(t *testing.T) {
	cfg := testConfig()
	cfg.Codec = "lowrank:0.2"
	small, _ := testBases(t)
	modalities := []model.Modality{sensorA}
	edge := func(stream string) *method.Edge {
		e, err := method.NewEdge(cfg, small, modalities, observe(stream, 12, noise, modalities), withoutTargets(observe("public", 20, noise, modalities)), method.DefaultShare(), stream)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	one, two := edge("one"), edge("two")
	start := averaged(filled(one.Components()["lora"], 0.01))
	var deltas []method.Input
	for _, e := range []*method.Edge{one, two} {
		if err := e.Absorb(start); err != nil {
			t.Fatal(err)
		}
		d, err := e.Round(t.Context(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		deltas = append(deltas, method.InputOf(fmt.Sprint(len(deltas)), *d))
	}
	if err := one.Merge(1, start, deltas[0], deltas[1:], 1); err != nil {
		t.Fatal(err)
	}
	d, err := one.Round(t.Context(), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range d.Components {
		if c.Name != "lora" {
			continue
		}
		got, err := d.Blobs[i].Open(start.Components[0].Component, c.Params())
		if err != nil || !reflect.DeepEqual(got.Tensors, c.Tensors) {
			t.Errorf("a receiver decodes another lora than the edge says it sent (%v)", err)
		}
	}
}
