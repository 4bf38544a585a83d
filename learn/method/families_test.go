package method_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// otherBase is a Llama with the tokenizer of testBases.
var otherBase = sync.OnceValues(func() (*model.Base, error) {
	b, err := bases()
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, c := range colours {
		for _, f := range forms {
			texts = append(texts, c+" "+f)
		}
	}
	tok := b[0].Tokenizer
	cfg := model.Config{Family: model.Llama, Layers: 1, Dim: 16, Heads: 4, KVHeads: 2, Vocab: tok.Size(), Positions: 16, Eps: 1e-5}
	return model.Pretrain(context.Background(), cfg, tok, texts, model.PretrainOptions{Steps: 60, Batch: 8, LR: 5e-3, Seed: 1})
})

// familyConfig is testConfig with a second family of another fusion and rank. Its encoders are as the first's unless they are to differ.
func familyConfig(other method.Family) method.Config {
	cfg := testConfig()
	cfg.Families = []method.Family{other}
	return cfg
}

// newFamilies is a cloud and four edges, of family 0 and 1 in turn, two with all modalities and two with the first.
func newFamilies(t testing.TB, cfg method.Config) federation {
	t.Helper()
	first, large := testBases(t)
	second, err := otherBase()
	if err != nil {
		t.Fatal(err)
	}
	small := []*model.Base{first, second}
	public := observe("public", publicRows, noise, both)
	cloud, err := method.NewCloud(cfg, large, small, both, public, method.DefaultShare(), "super")
	if err != nil {
		t.Fatal(err)
	}
	f := federation{cloud: cloud}
	for i := range 4 {
		modalities := both[:2-i/2]
		name := fmt.Sprintf("edge-%d", i)
		e, err := method.NewEdge(cfg.Of(i%2), small[i%2], modalities, observe(name, 12, noise, modalities), withoutTargets(public), method.DefaultShare(), name)
		if err != nil {
			t.Fatal(err)
		}
		f.edges = append(f.edges, e)
	}
	return f
}

// LoRA and connectors belong to a base. Encoders are averaged over all nodes that have them, where families agree on their structure.
func TestMeansAreWithinAFamily(t *testing.T) {
	for name, c := range map[string]struct {
		other    method.Family
		encoders [][]int // inputs of each "encoder/a"
	}{
		"equal encoders": {method.Family{Fused: 12, Rank: 3}, [][]int{{0, 1, 2, 3}}},
		"other encoders": {method.Family{Width: 3, Projection: 6, Fused: 12, Rank: 2}, [][]int{{0, 2}, {1, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFamilies(t, familyConfig(c.other))
			a, err := method.Rounds(context.Background(), f.cloud, f.edges, 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][][]int{}
			for _, x := range a.Components {
				from := slices.DeleteFunc(slices.Sorted(slices.Values(x.Inputs)), func(i int) bool { return i < 0 })
				got[x.Component.Name] = append(got[x.Component.Name], from)
			}
			for _, inputs := range got {
				slices.SortFunc(inputs, slices.Compare)
			}
			want := map[string][][]int{
				"lora": {{0, 2}, {1, 3}}, "connector": {{0, 2}, {1, 3}}, "connector/a": {{0, 2}, {1, 3}}, "connector/b": {{0}, {1}},
				"encoder/a": c.encoders, "encoder/b": {{0, 1}},
			}
			if len(c.encoders) > 1 {
				want["encoder/b"] = [][]int{{0}, {1}}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("averaged %v, want %v", got, want)
			}
		})
	}
}

// Every proxy starts the round from the mean of its family.
func TestProxiesTakeOverTheirFamilysMean(t *testing.T) {
	f := newFamilies(t, familyConfig(method.Family{Fused: 12, Rank: 3}))
	a, err := f.cloud.Round(context.Background(), 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for family := range 2 {
		own := f.cloud.ProxyOf(family)
		for _, name := range []string{"lora", "encoder/a", "encoder/b", "connector/a", "connector/b", "connector"} {
			if !slices.ContainsFunc(a.Components, func(x method.Averaged) bool { return reflect.DeepEqual(x.Component, own[name]) }) {
				t.Errorf("the proxy of family %d has another %s than the aggregate", family, name)
			}
		}
	}
	if _, ok := a.Metrics["proxy_lm/1"]; !ok {
		t.Errorf("metrics %v tell nothing of the second family", a.Metrics)
	}
	allMean(t, a.Metrics)
}

// allMean checks that no number of a record is bare.
func allMean(t *testing.T, metrics map[string]float64) {
	t.Helper()
	for name := range metrics {
		if method.Meaning(name) == "" {
			t.Errorf("nothing says what metric %q means", name)
		}
	}
}

// Both families learn from the supervision, whose fused representations have another width than the second family's.
func TestSupervisionReachesBothFamilies(t *testing.T) {
	for _, contrast := range []string{"similarity", "gram"} {
		t.Run(contrast, func(t *testing.T) {
			ctx := context.Background()
			for _, fused := range []int{12, 24} {
				cfg := familyConfig(method.Family{Fused: fused, Rank: 3})
				cfg.Contrast, cfg.Guide = contrast, 0.5
				f := newFamilies(t, cfg)
				a, err := f.cloud.Round(ctx, 0, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if a.Metrics["large_contrast"] == 0 {
					t.Error("the proxies are no anchors of the large model")
				}
				for i, e := range f.edges[:2] {
					if err := e.Absorb(a); err != nil {
						t.Fatal(err)
					}
					d, err := e.Round(ctx, 1, nil)
					if err != nil {
						t.Fatal(err)
					}
					if d.Public != publicRows || d.Metrics["ccl_contrast"] == 0 || d.Metrics["ccl_soft"] == 0 {
						t.Errorf("edge %d, fused width %d: %d public rows, metrics %v", i, fused, d.Public, d.Metrics)
					}
					allMean(t, d.Metrics)
				}
			}
		})
	}
}

func TestFamiliesSurviveARestart(t *testing.T) {
	ctx := context.Background()
	cfg := familyConfig(method.Family{Width: 3, Fused: 12, Rank: 3})
	f := newFamilies(t, cfg)
	_, err := method.Rounds(ctx, f.cloud, f.edges, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	fresh := newFamilies(t, cfg)
	for i, old := range f.learners() {
		var state bytes.Buffer
		if err := old.WriteState(&state); err != nil {
			t.Fatal(err)
		}
		if err := fresh.learners()[i].ReadState(&state); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []federation{f, fresh} {
		if _, err := method.Rounds(ctx, x.cloud, x.edges, 2, 2); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(f.state(t), fresh.state(t)) {
		t.Error("a restart gives other bits")
	}

	var state bytes.Buffer
	if err := f.cloud.WriteState(&state); err != nil {
		t.Fatal(err)
	}
	first, large := testBases(t)
	second, err := otherBase()
	if err != nil {
		t.Fatal(err)
	}
	answerer, err := method.NewCloudAnswerer(cfg, large, []*model.Base{first, second}, both)
	if err != nil {
		t.Fatal(err)
	}
	if err := answerer.ReadCloud(bytes.NewReader(state.Bytes())); err != nil {
		t.Errorf("the answers of a cloud of two families: %v", err)
	}
	if err := newCloud(t, nil).ReadState(&state); err == nil || !strings.Contains(err.Error(), "proxy-1") {
		t.Errorf("a cloud of one family read the state of two: %v", err)
	}
}

func TestACloudNeedsABaseOfEveryFamily(t *testing.T) {
	small, large := testBases(t)
	cfg := familyConfig(method.Family{Rank: 3})
	_, err := method.NewCloud(cfg, large, []*model.Base{small}, both, observe("public", 4, 0, both), nil, "super")
	if err == nil || !strings.Contains(err.Error(), "1 small base models for 2 families") {
		t.Errorf("error %v", err)
	}
}

// A late delta counts in the round that it comes in for, but less.
func TestALateDeltaCountsAtADiscount(t *testing.T) {
	ctx := context.Background()
	f := newFederation(t, testConfig(), 12, method.DefaultShare())
	var inputs []method.Input
	for i, trained := range []uint64{3, 2, 0} { // edges 1 and 2 have half the modalities each
		d, err := f.edges[i].Round(ctx, trained, nil)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, d.Input(fmt.Sprint(i)))
	}
	a, err := f.cloud.Round(ctx, 3, inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	// 12 rows of all modalities, 12 of half at half weight, 12 of half at an eighth.
	if want := []float64{12. / 15.75, 3. / 15.75, 0.75 / 15.75}; !near(a.Weights, want) {
		t.Errorf("weights %v, want %v", a.Weights, want)
	}
}

func near(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return x-y < 1e-12 && y-x < 1e-12 })
}

func TestParseFamily(t *testing.T) {
	f, err := method.ParseFamily(`{"model":{"architecture":"llama","layers":2,"dim":64,"heads":4,"kv_heads":2},"width":12,"projection":48,"fused":192,"rank":4}`)
	if err != nil || f != method.SecondFamily() {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := method.ParseFamily(`{"rank":3}`); err != nil || f != (method.Family{Rank: 3}) {
		t.Errorf("%+v, %v", f, err)
	}
	for text, want := range map[string]string{`{"ranks":3}`: "ranks", `{"rank":"3"}`: "rank", "": "EOF", `{"rank":3}{}`: "more than one"} {
		if _, err := method.ParseFamily(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func FuzzParseFamily(f *testing.F) {
	for _, seed := range []string{`{}`, `{"width":32,"rank":4}`, `{"model":{}}`, `{} {}`, `{"depth":1}`, `[`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		family, err := method.ParseFamily(text)
		if err != nil {
			return
		}
		b, err := json.Marshal(family)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := method.ParseFamily(string(b)); err != nil || again != family {
			t.Errorf("%s is read as %+v, %v", b, again, err)
		}
	})
}
