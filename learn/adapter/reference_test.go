package adapter_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
)

// reference is a folder of numbers made by an independent implementation.
func reference(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("MLECS_REFERENCE")
	if root == "" {
		root = "../../../shared/reference"
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no reference numbers: %v (set MLECS_REFERENCE)", err)
	}
	return dir
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func readTensors(t *testing.T, path string) []adapter.Tensor {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, _, err := adapter.ReadTensors(f, 1<<28)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// clientSet is a set of clients with the parameters of the rules.
type clientSet struct {
	Clients    int       `json:"clients"`
	Ranks      []int     `json:"ranks"`
	Samples    []float64 `json:"n_samples"`
	Modalities []float64 `json:"modality_count"`
	Trim       int       `json:"trim"`
	Faulty     int       `json:"f"`
	Keep       []int     `json:"multikrum_m"`
	Clip       struct {
		Tau        float64 `json:"tau"`
		Iterations int     `json:"iterations"`
	} `json:"centered_clip"`
	name    string
	cs      []adapter.Component
	alpha   float64
	results *results
}

type results struct {
	Tensors map[string]struct {
		Shape []int     `json:"shape"`
		Data  []float64 `json:"data"`
	} `json:"tensors"`
	Scalars map[string]json.RawMessage `json:"scalars"`
	used    map[string]bool
}

func loadPEFTAgg(t *testing.T) (map[string]*clientSet, *results) {
	dir := reference(t, "peft-agg")
	raw := readFile(t, filepath.Join(dir, "meta.json"))
	var meta struct {
		Alpha        float64 `json:"lora_alpha"`
		Eq, Het, Rob clientSet
	}
	if err := json.Unmarshal(raw, &meta); err != nil {
		t.Fatal(err)
	}
	out := &results{used: map[string]bool{}}
	if err := json.Unmarshal(readFile(t, filepath.Join(dir, "outputs_float64.json")), out); err != nil {
		t.Fatal(err)
	}
	sets := map[string]*clientSet{"eq": &meta.Eq, "het": &meta.Het, "rob": &meta.Rob}
	for name, s := range sets {
		s.name, s.alpha, s.results = name, meta.Alpha, out
		s.cs = make([]adapter.Component, s.Clients)
	}
	for _, x := range readTensors(t, filepath.Join(dir, "inputs.safetensors")) {
		set, rest, _ := strings.Cut(x.Name, ".")
		client, name, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(strings.TrimPrefix(client, "c"))
		if err != nil || sets[set] == nil || i >= sets[set].Clients {
			t.Fatalf("input %q belongs to no client", x.Name)
		}
		x.Name = name
		c := &sets[set].cs[i]
		c.Name, c.Tensors = "lora", append(c.Tensors, x)
		c.Signature = adapter.Signature(c.Tensors)
	}
	return sets, out
}

// with gives the set's clients with weights; nil means equal ones.
func (s *clientSet) with(weights []float64) []adapter.Contribution {
	out := make([]adapter.Contribution, s.Clients)
	for i, c := range s.cs {
		out[i] = adapter.Contribution{Component: c, Weight: 1, Alpha: s.alpha}
		if weights != nil {
			out[i].Weight = weights[i]
		}
	}
	return out
}

// compare fails unless the tensors of got are those named prefix.
func (r *results) compare(t *testing.T, prefix string, got adapter.Component) {
	t.Helper()
	for _, x := range got.Tensors {
		name := prefix + "." + x.Name
		r.used[name] = true
		want, ok := r.Tensors[name]
		if !ok || !slices.Equal(want.Shape, x.Shape) || len(want.Data) != len(x.Data) {
			t.Fatalf("the reference has no %q %v", name, x.Shape)
		}
		for i, v := range x.Data {
			if w := want.Data[i]; !(math.Abs(float64(v)-w) <= 1e-7+1e-7*math.Abs(w)) { // a float32's rounding; the reference allows more
				t.Fatalf("%s: value %d is %v, want %v", name, i, v, w)
			}
		}
	}
}

// scalar fails unless the numbers are those called name.
func (r *results) scalar(t *testing.T, name string, got ...float64) {
	t.Helper()
	r.used[name] = true
	raw, ok := r.Scalars[name]
	if !ok {
		t.Fatalf("the reference has no %q", name)
	}
	if raw[0] != '[' {
		raw = slices.Concat([]byte("["), raw, []byte("]"))
	}
	var want []float64
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	closeTo(t, name, got, want, 1e-10)
}

func closeTo(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance+tolerance*math.Abs(w)) {
			t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], w)
		}
	}
}

func TestReferencePEFTAgg(t *testing.T) { kerneltest.Each(t, testReferencePEFTAgg) }

func testReferencePEFTAgg(t *testing.T) {
	sets, want := loadPEFTAgg(t)
	eq, het, rob := sets["eq"], sets["het"], sets["rob"]
	both := make([]float64, eq.Clients)
	for i := range both {
		both[i] = eq.Samples[i] * eq.Modalities[i]
	}
	type test struct {
		name    string
		set     *clientSet
		rule    adapter.Rule
		weights []float64
	}
	tests := []test{
		{"uniform_mean", eq, adapter.Mean{}, nil},
		{"uniform_mean", rob, adapter.Mean{}, nil},
		{"fedavg", eq, adapter.Mean{}, eq.Samples},
		{"modality_mean", eq, adapter.Mean{}, eq.Modalities},
		{"modality_x_samples_mean", eq, adapter.Mean{}, both},
		{"zeropad_samples_mean", het, adapter.ZeroPadded{}, het.Samples},
		{"zeropad_modality_mean", het, adapter.ZeroPadded{}, het.Modalities},
		{"zeropad_uniform_mean", het, adapter.ZeroPadded{}, nil},
		{"dimension_wise_samples_mean", het, adapter.DimensionWise{}, het.Samples},
	}
	for _, s := range []*clientSet{eq, het} {
		tests = append(tests,
			test{"product_mean_uniform", s, adapter.ProductMean{}, nil},
			test{"product_mean_samples", s, adapter.ProductMean{}, s.Samples},
			test{"product_mean_samples_scaled", s, adapter.ProductMean{Scaled: true}, s.Samples},
			test{"flora", s, adapter.FLoRA{}, s.Samples},
			test{"flora_scaled", s, adapter.FLoRA{Scaled: true}, s.Samples},
			test{"hetlora_per_layer", s, adapter.HetLoRA{}, nil},
			test{"hetlora_global", s, adapter.HetLoRA{Global: true}, nil},
		)
	}
	for _, s := range []*clientSet{eq, rob} {
		tests = append(tests,
			test{"median", s, adapter.Median{}, nil},
			test{"trimmed_mean", s, adapter.TrimmedMean{Trim: s.Trim}, nil},
			test{"centered_clip", s, adapter.CenteredClip{Tau: s.Clip.Tau, Iterations: s.Clip.Iterations}, nil},
		)
	}
	tests = append(tests, test{"krum", rob, adapter.Krum{Faulty: rob.Faulty, Keep: 1}, nil})
	for _, m := range rob.Keep {
		tests = append(tests, test{fmt.Sprintf("multikrum_m%d", m), rob, adapter.Krum{Faulty: rob.Faulty, Keep: m}, nil})
	}
	ran := 0
	for _, c := range tests {
		t.Run(c.set.name+"/"+c.name, func(t *testing.T) {
			ran++
			got, err := c.rule.Combine(c.set.with(c.weights))
			if err != nil {
				t.Fatal(err)
			}
			want.compare(t, c.set.name+"."+c.name, got)
		})
	}
	t.Run("rob/median_first_even", func(t *testing.T) {
		ran++
		got, err := adapter.Median{}.Combine(rob.with(nil)[:6])
		if err != nil {
			t.Fatal(err)
		}
		want.compare(t, "rob.median_first_even", got)
	})
	t.Run("het/hetlora_per_layer_truncated", func(t *testing.T) {
		ran++
		whole, err := adapter.HetLoRA{}.Combine(het.with(nil))
		if err != nil {
			t.Fatal(err)
		}
		for i, rank := range het.Ranks {
			got, err := adapter.Truncate(whole, rank, het.cs[i].Signature)
			if err != nil {
				t.Fatal(err)
			}
			if err := adapter.SameStructure(het.cs[i], got); err != nil {
				t.Error(err)
			}
			want.compare(t, fmt.Sprintf("het.hetlora_per_layer_truncated.c%d", i), got)
		}
	})
	t.Run("scalars", func(t *testing.T) {
		ran++
		referenceScalars(t, sets, want)
	})
	if ran < len(tests)+3 || t.Failed() {
		return // -run chose a part
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(want.Tensors)), slices.Sorted(maps.Keys(want.Scalars))) {
		if !want.used[name] {
			t.Errorf("nothing was compared with %s", name)
		}
	}
}

// referenceScalars compares norms, weights, scores, selections and clipping factors.
func referenceScalars(t *testing.T, sets map[string]*clientSet, want *results) {
	for _, s := range []*clientSet{sets["eq"], sets["het"]} {
		norms := map[string][]float64{}
		for _, c := range s.with(nil) { // the norm of the product itself, a second way
			product, err := adapter.ProductMean{}.Combine([]adapter.Contribution{c})
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range product.Tensors {
				norms[x.Name] = append(norms[x.Name], norm(x.Data))
			}
		}
		layers, err := adapter.HetLoRA{}.Weights(s.with(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range layers {
			name := s.name + ".hetlora.norms." + m.Module
			want.used[name] = true
			var norm []float64
			if err := json.Unmarshal(want.Scalars[name], &norm); err != nil {
				t.Fatal(err)
			}
			closeTo(t, name, norms[m.Module+".delta"], norm, 1e-6)
			want.scalar(t, s.name+".hetlora_per_layer.weights."+m.Module, m.Weights...)
		}
		global, err := adapter.HetLoRA{Global: true}.Weights(s.with(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range global {
			want.scalar(t, s.name+".hetlora_global.weights", m.Weights...)
		}
	}
	eq := sets["eq"]
	product, err := adapter.ProductMean{}.Combine(eq.with(eq.Samples))
	if err != nil {
		t.Fatal(err)
	}
	mean, err := adapter.WeightedMean(eq.cs, eq.Samples)
	if err != nil {
		t.Fatal(err)
	}
	of, err := adapter.ProductMean{}.Combine([]adapter.Contribution{{Component: mean, Weight: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range product.Tensors {
		gap := make([]float32, len(x.Data))
		for j, v := range x.Data {
			gap[j] = of.Tensors[i].Data[j] - v
		}
		name := "eq.fedavg_product_gap." + strings.TrimSuffix(x.Name, ".delta")
		want.used[name] = true
		var w float64
		if err := json.Unmarshal(want.Scalars[name], &w); err != nil {
			t.Fatal(err)
		}
		closeTo(t, name, []float64{norm(gap)}, []float64{w}, 1e-6)
	}

	rob := sets["rob"]
	for _, keep := range append(rob.Keep, 1, rob.Clients) {
		kept, scores, err := adapter.Krum{Faulty: rob.Faulty, Keep: keep}.Select(rob.with(nil))
		if err != nil {
			t.Fatal(err)
		}
		selected := make([]float64, len(kept))
		for i, k := range kept {
			selected[i] = float64(k)
		}
		switch keep {
		case 1:
			want.scalar(t, "rob.krum.scores", scores...)
			want.scalar(t, "rob.krum.selected", selected...)
		case rob.Clients:
			order := make([]float64, len(kept))
			for _, k := range kept {
				place := 0
				for _, s := range scores {
					if s < scores[k] {
						place++
					}
				}
				order[place] = float64(k)
			}
			want.scalar(t, "rob.krum.order", order...)
		default:
			want.scalar(t, fmt.Sprintf("rob.multikrum_m%d.selected", keep), selected...)
		}
	}
	for _, s := range []*clientSet{eq, rob} {
		_, steps, err := adapter.CenteredClip{Tau: s.Clip.Tau, Iterations: s.Clip.Iterations}.Trace(s.with(nil))
		if err != nil {
			t.Fatal(err)
		}
		var trace []struct {
			Factors []float64 `json:"clip_factors"`
			Norm    float64   `json:"norm_after"`
		}
		name := s.name + ".centered_clip.trace"
		want.used[name] = true
		if err := json.Unmarshal(want.Scalars[name], &trace); err != nil {
			t.Fatal(err)
		}
		if len(trace) != len(steps) {
			t.Fatalf("%s: %d steps, want %d", name, len(steps), len(trace))
		}
		for i, step := range steps {
			closeTo(t, name, append(step.Factors, step.Norm), append(trace[i].Factors, trace[i].Norm), 1e-10)
		}
	}
}

func norm(data []float32) float64 {
	var sum float64
	for _, x := range data {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
