package method_test

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

func newCloud(t testing.TB, share []string) *method.Cloud {
	t.Helper()
	small, large := testBases(t)
	c, err := method.NewCloud(testConfig(), large, []*model.Base{small}, both, observe("public", 20, noise, both), share, "super")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Round 0 gives every node, however few modalities it has, something to start from, and something to learn.
func TestRoundZeroTeaches(t *testing.T) {
	c := newCloud(t, method.DefaultShare())
	a, err := c.Round(context.Background(), 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range a.Components {
		names = append(names, x.Component.Name)
		if !slices.Equal(x.Inputs, []int{-1}) || !slices.Equal(x.Weights, []float64{1}) {
			t.Errorf("%s: inputs %v, weights %v", x.Component.Name, x.Inputs, x.Weights)
		}
		if !reflect.DeepEqual(x.Component, c.Proxy()[x.Component.Name]) {
			t.Errorf("%s is not what the small model learned", x.Component.Name)
		}
	}
	if want := []string{"connector", "connector/a", "connector/b", "encoder/a", "encoder/b", "lora"}; !slices.Equal(names, want) {
		t.Errorf("components %v, want %v", names, want)
	}
	s := a.Supervision
	if len(s.IDs) != 20 || len(s.Fused) != 20 || len(s.Soft) != 20 || len(a.Weights) != 0 {
		t.Fatalf("supervision of %d rows, %d, %d; weights %v", len(s.IDs), len(s.Fused), len(s.Soft), a.Weights)
	}
	for i, soft := range s.Soft {
		for j := range soft.IDs {
			var p float64
			for _, l := range soft.TopLog[j] {
				p += math.Exp(float64(l))
			}
			if p <= 0 || p > 1.001 || len(soft.TopIDs[j]) != testConfig().SoftK || soft.TopIDs[j][0] != soft.IDs[j] {
				t.Errorf("row %s, token %d: probability %v over %v for %d", s.IDs[i], j, p, soft.TopIDs[j], soft.IDs[j])
			}
		}
	}
}

func TestRoundAveragesBeforeItTunes(t *testing.T) {
	ctx := context.Background()
	c := newCloud(t, []string{"lora", "encoder"})
	zero, err := c.Round(ctx, 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	proxy := c.Proxy()
	d := method.Delta{Round: 1, Modalities: []string{"a"}, Rows: 40, Components: []adapter.Component{filled(proxy["lora"], 1)}}
	a, err := c.Round(ctx, 1, []method.Input{method.InputOf("one", d)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// 40 rows of half the modalities and 20 public rows of all: equal parts.
	var names []string
	for _, x := range a.Components {
		names = append(names, x.Component.Name)
		if x.Component.Name != "lora" {
			continue
		}
		for i, tensor := range x.Component.Tensors {
			for j, v := range tensor.Data {
				if want := (proxy["lora"].Tensors[i].Data[j] + 1) / 2; math.Abs(float64(v-want)) > 1e-6 {
					t.Fatalf("%s: value %d is %v, want %v", tensor.Name, j, v, want)
				}
			}
		}
	}
	if want := []string{"encoder/a", "encoder/b", "lora"}; !slices.Equal(names, want) {
		t.Errorf("components %v, want %v: the connector is not shared", names, want)
	}
	if !slices.Equal(a.Weights, []float64{1}) {
		t.Errorf("weights %v", a.Weights)
	}
	if reflect.DeepEqual(c.Proxy()["lora"], a.Components[2].Component) {
		t.Error("the small model was not tuned after the mean")
	}
	if reflect.DeepEqual(a.Supervision.Fused, zero.Supervision.Fused) {
		t.Error("the large model was not tuned")
	}
}

// One bad delta costs its author the round, and nobody else.
func TestRoundSurvivesABadDelta(t *testing.T) {
	c := newCloud(t, method.DefaultShare())
	poison := filled(c.Proxy()["lora"], float32(math.NaN()))
	a, err := c.Round(context.Background(), 1, []method.Input{
		method.InputOf("bad", method.Delta{Rows: 10, Modalities: []string{"a"}, Components: []adapter.Component{poison}}),
		method.InputOf("good", method.Delta{Rows: 10, Modalities: []string{"a"}, Components: []adapter.Component{c.Proxy()["lora"]}}),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Weights, []float64{0, 1}) || a.Metrics["rejected"] != 1 {
		t.Errorf("weights %v, metrics %v", a.Weights, a.Metrics)
	}
}

func TestCloudRefuses(t *testing.T) {
	small, large := testBases(t)
	public := observe("public", 4, 0, both)
	tok, err := model.TrainTokenizer([]string{"another vocabulary, another"}, 300)
	if err != nil {
		t.Fatal(err)
	}
	other := &model.Base{Config: small.Config, Tensors: small.Tensors, Tokenizer: tok}
	for want, c := range map[string]struct {
		small  *model.Base
		public []method.Example
		share  []string
	}{
		"need one tokenizer":            {other, public, nil},
		"needs public rows":             {small, nil, nil},
		`"public-0" has no target`:      {small, withoutTargets(public), nil},
		`"public-0" is empty or occurs`: {small, append(public, public[0]), nil},
		`"weights" is none of`:          {small, public, []string{"weights"}},
	} {
		_, err := method.NewCloud(testConfig(), large, []*model.Base{c.small}, both, c.public, c.share, "super")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
