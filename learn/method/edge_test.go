package method_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

func newEdge(t testing.TB, modalities []model.Modality, share []string, stream string) *method.Edge {
	t.Helper()
	small, _ := testBases(t)
	e, err := method.NewEdge(testConfig(), small, modalities, observe("edge", 12, noise, modalities), withoutTargets(observe("public", 20, noise, modalities)), share, stream)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func averaged(cs ...adapter.Component) *method.Aggregate {
	a := &method.Aggregate{}
	for _, c := range cs {
		a.Components = append(a.Components, method.Averaged{Component: c})
	}
	return a
}

// filled is c with every value v.
func filled(c adapter.Component, v float32) adapter.Component {
	c = c.Clone()
	for _, t := range c.Tensors {
		for i := range t.Data {
			t.Data[i] = v
		}
	}
	return c
}

// TestAdaptKeepsSomeOfTheAggregate: what answers is a point on the line from the weights before adaptation to those that it ends in.
func TestAdaptKeepsSomeOfTheAggregate(t *testing.T) {
	small, _ := testBases(t)
	adapted := func(keep float64) (before, after []adapter.Component) {
		cfg := testConfig()
		cfg.AdaptSteps, cfg.AdaptKeep = 5, keep
		e, err := method.NewEdge(cfg, small, both, observe("edge", 12, noise, both), nil, method.DefaultShare(), "edge")
		if err != nil {
			t.Fatal(err)
		}
		before = shared(e)
		if err := e.Adapt(t.Context(), 1, nil); err != nil {
			t.Fatal(err)
		}
		return before, shared(e)
	}
	start, end := adapted(0)
	for _, keep := range []float64{0.25, 0.5, 1} {
		_, got := adapted(keep)
		for i, c := range got {
			want, err := adapter.WeightedMean([]adapter.Component{start[i], end[i]}, []float64{keep, 1 - keep})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(c, want) {
				t.Errorf("keeping %v: %s is not between the weights before and after", keep, c.Name)
			}
		}
	}
	if reflect.DeepEqual(start, end) {
		t.Error("adaptation changed nothing: the test tells nothing")
	}
}

// shared are e's components in name order.
func shared(e *method.Edge) []adapter.Component {
	all := e.Components()
	var list []adapter.Component
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return list
}

func TestEdgeRefuses(t *testing.T) {
	small, _ := testBases(t)
	private, public := observe("edge", 4, 0, both), withoutTargets(observe("public", 4, 0, both))
	long := observe("edge", 1, 0, both)
	long[0].Target = strings.Repeat("far too long ", 10)
	short := observe("edge", 1, 0, both)
	short[0].Inputs["a"] = []float32{1}
	for want, c := range map[string]struct {
		private, public []method.Example
		modalities      []model.Modality
		share           []string
	}{
		`public row "public-0" has a target`: {private, observe("public", 4, 0, both), both, nil},
		`row "public-0" has no target`:       {public, public, both, nil},
		"no private rows":                    {nil, public, both, nil},
		"shorten it":                         {long, public, both, nil},
		"a has 1 values":                     {short, public, both, nil},
		"occurs twice":                       {private, append(public, public[0]), both, nil},
		"at least one modality":              {private, public, nil, nil},
		"given twice":                        {private, public, []model.Modality{sensorA, sensorA}, nil},
		`"weights" is none of`:               {private, public, both, []string{"weights"}},
	} {
		_, err := method.NewEdge(testConfig(), small, c.modalities, c.private, c.public, c.share, "edge")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestAbsorbReplacesWhatFitsAndKeepsTheRest(t *testing.T) {
	e := newEdge(t, []model.Modality{sensorA}, []string{"lora", "encoder"}, "edge")
	before := e.Components()
	stranger := filled(before["lora"], 9)
	stranger.Signature = "of another base"
	elsewhere := filled(before["encoder/a"], 9)
	elsewhere.Name = "encoder/b"
	err := e.Absorb(averaged(filled(before["lora"], 0.5), stranger, elsewhere, filled(before["connector/a"], 9)))
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want["lora"] = filled(before["lora"], 0.5)
	if got := e.Components(); !reflect.DeepEqual(got, want) {
		t.Error("more or less than lora changed: the stranger's, another modality's, or the connector, which is not shared")
	}
}

func TestAbsorbChangesNothingOnAnError(t *testing.T) {
	e := newEdge(t, both, method.DefaultShare(), "edge")
	before := e.Components()
	forged := before["lora"].Clone()
	forged.Tensors = forged.Tensors[1:]
	supervised := func(spoil func(*method.Supervision)) *method.Aggregate {
		a := averaged(filled(before["lora"], 0.5))
		a.Supervision = &method.Supervision{
			IDs:   []string{"public-0"},
			Fused: [][]float32{make([]float32, 16)},
			Soft:  []model.SoftTarget{{IDs: []int{1}, TopIDs: [][]int{{1}}, TopLog: [][]float32{{-1}}}},
		}
		spoil(a.Supervision)
		return a
	}
	for want, a := range map[string]*method.Aggregate{
		"structures differ":     averaged(filled(before["encoder/a"], 0.5), forged),
		"have 0 values":         supervised(func(s *method.Supervision) { s.Fused[0] = nil }),
		"not in the vocabulary": supervised(func(s *method.Supervision) { s.Soft[0].TopIDs[0][0] = 1 << 20 }),
		"1 rows, 1 fused":       supervised(func(s *method.Supervision) { s.Soft = nil }),
		"max_tokens is 6": supervised(func(s *method.Supervision) {
			one := s.Soft[0]
			for range 6 {
				s.Soft[0].IDs = append(s.Soft[0].IDs, one.IDs[0])
				s.Soft[0].TopIDs = append(s.Soft[0].TopIDs, one.TopIDs[0])
				s.Soft[0].TopLog = append(s.Soft[0].TopLog, one.TopLog[0])
			}
		}),
	} {
		if err := e.Absorb(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if !reflect.DeepEqual(e.Components(), before) {
			t.Errorf("%s: components changed", want)
		}
	}
}

// Components that will be averaged are equal before the first step on every node that has them.
func TestNodesStartEqual(t *testing.T) {
	small, large := testBases(t)
	cloud, err := method.NewCloud(testConfig(), large, []*model.Base{small}, both, observe("public", 4, 0, both), nil, "super")
	if err != nil {
		t.Fatal(err)
	}
	one, two := newEdge(t, both, nil, "one").Components(), newEdge(t, []model.Modality{sensorB}, nil, "two").Components()
	if !reflect.DeepEqual(two["lora"], one["lora"]) || !reflect.DeepEqual(two["encoder/b"], one["encoder/b"]) {
		t.Error("two edges start with another LoRA or encoder")
	}
	if !reflect.DeepEqual(cloud.Proxy(), one) {
		t.Error("the cloud's small model starts otherwise than an edge with all modalities")
	}
}

// Without supervision an edge is its standalone twin: same batches, same dropout, same bits.
func TestAnEdgeWithoutSupervisionIsItsTwin(t *testing.T) {
	ctx := context.Background()
	small, _ := testBases(t)
	e := newEdge(t, both, method.DefaultShare(), "edge")
	twin, err := method.NewStandalone(testConfig(), small, both, observe("edge", 12, noise, both), testConfig().AMTSteps, "edge")
	if err != nil {
		t.Fatal(err)
	}
	d, err := e.Round(ctx, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := twin.Round(ctx, 1, nil); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(e.Components(), twin.Components()) {
		t.Error("other components")
	}
	if d.Public != 0 || d.Rows != 12 || !reflect.DeepEqual(d.Modalities, []string{"a", "b"}) || len(d.Components) != 6 {
		t.Errorf("delta of %d rows, %d public, %v, %d components", d.Rows, d.Public, d.Modalities, len(d.Components))
	}
}

// What leaves an edge are the kinds that the policy names.
func TestDeltasHoldWhatThePolicyShares(t *testing.T) {
	for _, share := range [][]string{nil, {"lora"}, {"encoder"}, {"connector", "lora"}} {
		d, err := newEdge(t, both, share, "edge").Round(context.Background(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]bool{}
		for _, c := range d.Components {
			kinds[adapter.Kind(c.Name)] = true
			var file bytes.Buffer
			if err := adapter.Write(&file, c); err != nil {
				t.Errorf("component %s cannot be sent: %v", c.Name, err)
			}
		}
		if len(kinds) != len(share) {
			t.Errorf("policy %v shares %v", share, kinds)
		}
		for _, k := range share {
			if !kinds[k] {
				t.Errorf("policy %v does not share %s", share, k)
			}
		}
	}
}

// A round that begins with a given LoRA sends it, and only once: what comes back from the others is what the next one begins with.
func TestRoundBeginsWithWhatItIsGiven(t *testing.T) {
	ctx := context.Background()
	small, large := testBases(t)
	cfg := testConfig()
	cfg.LR = 1e-30 // nothing is learned
	public := observe("public", 20, noise, both)
	e, err := method.NewEdge(cfg, small, both, observe("edge", 12, noise, both), withoutTargets(public), method.DefaultShare(), "edge")
	if err != nil {
		t.Fatal(err)
	}
	given := filled(e.Components()["lora"], 0.25)
	if err := e.StartFrom(given); err != nil {
		t.Fatal(err)
	}
	for round, want := range []adapter.Component{given, filled(given, 0.5)} {
		if err := e.Absorb(averaged(filled(given, 0.5))); err != nil {
			t.Fatal(err)
		}
		d, err := e.Round(ctx, uint64(round+1), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Components[len(d.Components)-1]; !reflect.DeepEqual(got, want) {
			t.Errorf("round %d sends another LoRA", round+1)
		}
	}
	c, err := method.NewCloud(cfg, large, []*model.Base{small}, both, public, method.DefaultShare(), "super")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.StartFrom(given); err != nil || !reflect.DeepEqual(c.Proxy()["lora"], given) {
		t.Errorf("the cloud begins with another LoRA (%v)", err)
	}
	given.Tensors[0].Shape = []int{1, len(given.Tensors[0].Data)}
	if err := e.StartFrom(given); !errors.Is(err, adapter.ErrStructure) {
		t.Errorf("another shape: %v", err)
	}
	given.Signature = "of another base"
	if err := c.StartFrom(given); !errors.Is(err, adapter.ErrStructure) {
		t.Errorf("another base: %v", err)
	}
}
