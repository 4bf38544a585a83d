package method_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// questioned is a learner that can be asked and stored.
type questioned interface {
	restartable
	Answer(ctx context.Context, rows []method.Example) ([]string, error)
}

// TestAnswererAnswersAsItsLearner before and after a round, from nothing but the learner's state.
func TestAnswererAnswersAsItsLearner(t *testing.T) {
	cfg := testConfig()
	cfg.AMTSteps, cfg.CloudSteps = 30, 30
	f := newFederation(t, cfg, 16, method.DefaultShare())
	small, large := testBases(t)
	cases := []struct {
		name       string
		learner    questioned
		learn      func() error
		fresh      func() (*method.Answerer, error)
		modalities []model.Modality
		read       func(*method.Answerer, *bytes.Buffer) error
		other      func(*method.Answerer, *bytes.Buffer) error
	}{
		{
			"edge", f.edges[1], func() error { _, err := f.edges[1].Round(t.Context(), 1, nil); return err },
			func() (*method.Answerer, error) { return method.NewAnswerer(cfg, small, edgeModalities[1]) }, edgeModalities[1],
			func(a *method.Answerer, b *bytes.Buffer) error { return a.ReadEdge(b) },
			func(a *method.Answerer, b *bytes.Buffer) error { return a.ReadCloud(b) },
		},
		{
			"super-peer", f.cloud, func() error { _, err := f.cloud.Round(t.Context(), 0, nil, nil); return err },
			func() (*method.Answerer, error) {
				return method.NewCloudAnswerer(cfg, large, []*model.Base{small}, both)
			}, both,
			func(a *method.Answerer, b *bytes.Buffer) error { return a.ReadCloud(b) },
			func(a *method.Answerer, b *bytes.Buffer) error { return a.ReadEdge(b) },
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			rows := observe("questions", 12, noise, tc.modalities)
			answers := func(q interface {
				Answer(context.Context, []method.Example) ([]string, error)
			}) []string {
				t.Helper()
				list, err := q.Answer(t.Context(), rows)
				if err != nil {
					t.Fatal(err)
				}
				return list
			}
			fresh := func() *method.Answerer {
				t.Helper()
				a, err := tc.fresh()
				if err != nil {
					t.Fatal(err)
				}
				return a
			}
			a := fresh()
			before := answers(tc.learner)
			if got := answers(a); !slices.Equal(got, before) {
				t.Errorf("untrained: %q, the learner %q", got, before)
			}
			if err := tc.learn(); err != nil {
				t.Fatal(err)
			}
			after := answers(tc.learner)
			if slices.Equal(before, after) {
				t.Fatal("the learner learned nothing: the test tells nothing")
			}
			var state bytes.Buffer
			if err := tc.learner.WriteState(&state); err != nil {
				t.Fatal(err)
			}
			if err := tc.read(a, bytes.NewBuffer(state.Bytes())); err != nil {
				t.Fatal(err)
			}
			if got := answers(a); !slices.Equal(got, after) {
				t.Errorf("after a round: %q, the learner %q", got, after)
			}
			if err := tc.other(fresh(), bytes.NewBuffer(state.Bytes())); err == nil || !strings.Contains(err.Error(), "state of the") {
				t.Errorf("the state of a learner of another kind: %v", err)
			}
		})
	}
}

// TestAnswererAbsorbs what an edge would, and changes nothing on an error.
func TestAnswererAbsorbs(t *testing.T) {
	e := newEdge(t, both, method.DefaultShare(), "edge")
	small, _ := testBases(t)
	a, err := method.NewAnswerer(testConfig(), small, both)
	if err != nil {
		t.Fatal(err)
	}
	rows := observe("questions", 12, noise, both)
	d, err := newEdge(t, both, []string{"lora"}, "another").Round(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	lora := filled(d.Components[0], 0.5)
	if err := e.Absorb(averaged(lora)); err != nil {
		t.Fatal(err)
	}
	if err := a.Absorb([]adapter.Component{lora}); err != nil {
		t.Fatal(err)
	}
	want, err := e.Answer(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Answer(t.Context(), rows); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; the edge %q", got, err, want)
	}
	lying := lora
	lying.Tensors = lora.Tensors[1:]
	if err := a.Absorb([]adapter.Component{lying}); err == nil {
		t.Error("a component without one of its tensors is taken over")
	}
	if got, err := a.Answer(t.Context(), rows); err != nil || !slices.Equal(got, want) {
		t.Errorf("after the error: %q, %v; want %q", got, err, want)
	}
}
