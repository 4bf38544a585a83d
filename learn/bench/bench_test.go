package bench_test

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/bench"
	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/model"
)

// tiny is a workload that takes milliseconds.
func tiny() bench.Workload {
	cfg := model.Config{Layers: 1, Dim: 8, Heads: 2, Vocab: 20, Positions: 64, Eps: 1e-5}
	return bench.Workload{Name: "tiny", Base: model.RandomBase(cfg, 1), Rows: 2, Prompt: 2, Tokens: 5}
}

// keys are those of the JSON form of v, sorted.
func keys(t *testing.T, v any) []string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(fields))
}

func TestStepSaysWhatScriptsRead(t *testing.T) {
	s, err := bench.MeasureStep(t.Context(), tiny(), bench.StepOptions{Steps: 3})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"config", "kernel", "median_ms", "p10_ms", "p90_ms", "peak_rss_bytes", "steps", "threads"}
	if got := keys(t, s); !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	if !(0 < s.P10 && s.P10 <= s.Median && s.Median <= s.P90) || s.Steps != 3 || s.Threads < 1 || s.Kernel == "" || s.Config != "tiny" {
		t.Errorf("%+v", s)
	}
}

func TestStepComparesTheStoredBase(t *testing.T) {
	s, err := bench.MeasureStep(t.Context(), tiny(), bench.StepOptions{Steps: 1, DType: kernel.BFloat16, Profile: true})
	if err != nil {
		t.Fatal(err)
	}
	b := s.Base
	if b == nil || b.DType != "bf16" || b.Params != tiny().Base.Params() || b.Bytes >= 4*b.Params || b.Loss == b.Float32Loss || math.Abs(b.Loss-b.Float32Loss) > 0.01 || !(b.Float32.Median > 0) {
		t.Errorf("%+v", b)
	}
	p := s.Profile
	if p == nil || !(p.GFLOPS > 0 && p.Memory > 0 && p.Cache > 0) {
		t.Fatalf("%+v", p)
	}
	for _, name := range []string{"frozen maps", "frozen maps, backward", "attention, backward", "LoRA", "norms", "cross-entropy", "AdamW"} {
		if !slices.ContainsFunc(p.Parts, func(part bench.Part) bool { return part.Name == name && part.Bound != "" && part.Time > 0 }) {
			t.Errorf("the profile lacks %q: %+v", name, p.Parts)
		}
	}
}

// TestProductsOfBytesHaveNoRoofline: the peak is that of float32, which they exceed.
func TestProductsOfBytesHaveNoRoofline(t *testing.T) {
	s, err := bench.MeasureStep(t.Context(), tiny(), bench.StepOptions{Steps: 1, DType: kernel.W8A8, Profile: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := kernel.W8A8.OnThisMachine().String(); s.Base.DType != want {
		t.Errorf("the base is stored as %s, want %s", s.Base.DType, want)
	}
	bytes := s.Base.DType == "w8a8"
	for _, part := range s.Profile.Parts {
		if frozen := strings.HasPrefix(part.Name, "frozen maps"); (frozen && bytes) == (part.Bound != "") && part.Name != "everything else" {
			t.Errorf("%+v of a base stored as %s", part, s.Base.DType)
		}
	}
}

func TestGenerateCountsTokens(t *testing.T) {
	g, err := bench.MeasureGenerate(t.Context(), tiny(), 1)
	if err != nil || g.Rows*g.Tokens != 256 || !(g.PerSecond > 0) {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestCodecMeasuresEveryCodec(t *testing.T) {
	c, err := bench.MeasureCodec(t.Context(), 1)
	if err != nil || len(c.Codecs) < 6 {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, cost := range c.Codecs[1:] {
		if cost.Bytes <= 0 || cost.Bytes >= c.Codecs[0].Bytes {
			t.Errorf("%s takes %d bytes, plain values %d", cost.Codec, cost.Bytes, c.Codecs[0].Bytes)
		}
	}
}

func TestLoadKnowsTheGoals(t *testing.T) {
	if w, err := bench.Load("A"); err != nil || w.Base.Params() != 3_323_392 || w.Rows != 8 {
		t.Errorf("A: %d parameters, %v", w.Base.Params(), err)
	}
	if _, err := bench.Load(t.TempDir()); err == nil {
		t.Error("an empty folder is a workload")
	}
}
