package method_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// Taking modalities away from training rows changes what a node with two of them learns, the same way every time, and nothing for a node
// that has one.
func TestModalityDrop(t *testing.T) {
	small, _ := testBases(t)
	learned := func(modalities []model.Modality, rate float64) map[string]adapter.Component {
		cfg := testConfig()
		cfg.ModalityDrop = rate
		e, err := method.NewEdge(cfg, small, modalities, observe("edge", 12, noise, modalities), nil, method.DefaultShare(), "edge")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Round(context.Background(), 1, nil); err != nil {
			t.Fatal(err)
		}
		return e.Components()
	}
	one := []model.Modality{sensorB}
	if !reflect.DeepEqual(learned(one, 0), learned(one, 1)) {
		t.Error("a node of one modality lost it")
	}
	if reflect.DeepEqual(learned(both, 0), learned(both, 1)) {
		t.Error("a node of two modalities kept both")
	}
	if !reflect.DeepEqual(learned(both, 1), learned(both, 1)) {
		t.Error("two runs, two outcomes")
	}
}
