package method

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"pgregory.net/rapid"
)

func component(name string, values ...float32) adapter.Component {
	ts := []adapter.Tensor{{Name: "w", Shape: []int{len(values)}, Data: values}}
	return adapter.Component{Name: name, Signature: adapter.Signature(ts), Tensors: ts}
}

func delta(rows int, modalities []string, cs ...adapter.Component) Input {
	return InputOf("", Delta{Rows: rows, Modalities: modalities, Components: cs})
}

// byRows is inputWeight among a number of modalities.
func byRows(modalities int) func(Input) float64 {
	return func(in Input) float64 { return Config{}.inputWeight(in.Rows, len(in.Modalities), modalities) }
}

func TestRulesWeighInputs(t *testing.T) {
	for rule, want := range map[string]float64{"": 10, RuleModalityRows: 10, RuleModalities: 1.0 / 3, RuleUniform: 1, RuleMedian: 1, RuleTrimmedMean: 1} {
		if got := (Config{Rule: rule}).inputWeight(30, 1, 3); got != want {
			t.Errorf("%q: %v, want %v", rule, got, want)
		}
	}
}

var everything = []string{"lora", "encoder", "connector"}

func find(t *testing.T, out []Averaged, name string) Averaged {
	t.Helper()
	i := slices.IndexFunc(out, func(a Averaged) bool { return a.Component.Name == name })
	if i < 0 {
		t.Fatalf("no component %q in the aggregate", name)
	}
	return out[i]
}

func TestAggregateByHand(t *testing.T) {
	inputs := []Input{
		delta(30, []string{"image"}, component("lora", 1), component("encoder/image", 10)),                   // 30 x 1/3 = 10
		delta(10, []string{"depth", "image", "sensor"}, component("lora", 4), component("connector/all", 7)), // 10 x 3/3 = 10
		delta(30, []string{"image", "sensor"}, component("lora", 2.5), component("encoder/image", 40)),       // 30 x 2/3 = 20
	}
	out, weights, rejected, err := aggregate(RuleModalityRows, inputs, byRows(3), []adapter.Component{component("lora", -1), component("encoder/depth", 5)}, 10, everything)
	if err != nil || rejected != 0 {
		t.Fatal(err, rejected)
	}
	if want := []float64{0.25, 0.25, 0.5}; !slices.Equal(weights, want) {
		t.Errorf("overall weights %v, want %v", weights, want)
	}
	for name, want := range map[string]struct {
		value   float32
		inputs  []int
		weights []float64
	}{
		"lora":          {1.8, []int{2, 0, 1, -1}, []float64{0.4, 0.2, 0.2, 0.2}}, // (10 + 50 + 40 - 10) / 50, in order of digest
		"encoder/image": {30, []int{0, 2}, []float64{1. / 3, 2. / 3}},
		"encoder/depth": {5, []int{-1}, []float64{1}},
		"connector/all": {7, []int{1}, []float64{1}},
	} {
		got := find(t, out, name)
		if got.Component.Tensors[0].Data[0] != want.value || !slices.Equal(got.Inputs, want.inputs) || !slices.Equal(got.Weights, want.weights) {
			t.Errorf("%s: %v of inputs %v with weights %v, want %+v", name, got.Component.Tensors[0].Data, got.Inputs, got.Weights, want)
		}
	}
	var names []string
	for _, a := range out {
		names = append(names, a.Component.Name)
	}
	if !slices.IsSorted(names) || len(names) != 4 {
		t.Errorf("components %v", names)
	}
}

// Small models of several families may have encoders of one structure. They learned from the same rows: together they weigh as one.
func TestTheCloudsOwnCountOnce(t *testing.T) {
	mine := []adapter.Component{component("encoder/image", 2), component("encoder/image", 4), component("lora", 9, 9)}
	inputs := []Input{delta(10, []string{"image"}, component("encoder/image", 7))}
	out, _, _, err := aggregate(RuleModalityRows, inputs, byRows(1), mine, 10, everything)
	if err != nil {
		t.Fatal(err)
	}
	got := find(t, out, "encoder/image")
	if got.Component.Tensors[0].Data[0] != 5 || !slices.Equal(got.Inputs, []int{0, -1, -1}) || !slices.Equal(got.Weights, []float64{0.5, 0.25, 0.25}) {
		t.Errorf("%v of inputs %v with weights %v", got.Component.Tensors[0].Data, got.Inputs, got.Weights)
	}
	if got := find(t, out, "lora"); !slices.Equal(got.Weights, []float64{1}) {
		t.Errorf("weights %v of what one model has alone", got.Weights)
	}
}

func TestLateDeltasCountLess(t *testing.T) {
	cfg := Config{Stale: 0.5}
	for _, c := range []struct {
		round, trained uint64
		want           float64
	}{{7, 7, 1}, {7, 6, 0.5}, {7, 5, 0.25}, {7, 7 - MaxAge, 0.0625}, {7, 7 - MaxAge - 1, 0}, {7, 8, 0}} {
		if got := cfg.freshness(c.round, c.trained); got != c.want {
			t.Errorf("a delta of round %d counts %v in round %d, want %v", c.trained, got, c.round, c.want)
		}
	}
	cfg.Stale = 0
	if on, late := cfg.freshness(3, 3), cfg.freshness(3, 2); on != 1 || late != 0 {
		t.Errorf("with stale 0 a delta counts %v on time and %v late", on, late)
	}
}

// Inputs come in order of CID, which differs from run to run with the nodes' keys. The means must not.
func TestMeansDoNotDependOnTheOrderOfInputs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var inputs []Input
	for i := range 5 {
		values := make([]float32, 200)
		for j := range values {
			values[j] = rng.Float32() - 0.5
		}
		values[0] = 0 // the first value decides nothing
		inputs = append(inputs, delta(10+7*i, []string{"image"}, component("lora", values...)))
	}
	mine := []adapter.Component{component("lora", make([]float32, 200)...)}
	first, _, _, err := aggregate(RuleModalityRows, inputs, byRows(3), mine, 11, everything)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		rng.Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
		again, _, _, err := aggregate(RuleModalityRows, inputs, byRows(3), mine, 11, everything)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(again[0].Component.Tensors[0].Data, first[0].Component.Tensors[0].Data) || !slices.Equal(again[0].Weights, first[0].Weights) {
			t.Fatal("another order of the inputs gives other bits")
		}
	}
}

func TestOnlyEqualSignaturesAreAveraged(t *testing.T) {
	out, _, _, err := aggregate(RuleModalityRows, []Input{
		delta(1, []string{"image"}, component("lora", 1, 1)),
		delta(1, []string{"image"}, component("lora", 5)),
		delta(1, []string{"image"}, component("lora", 3, 3)),
	}, byRows(1), nil, 0, everything)
	if err != nil || len(out) != 2 {
		t.Fatalf("%d components, %v; want one for each of the two structures", len(out), err)
	}
	for _, a := range out {
		switch d := a.Component.Tensors[0].Data; len(d) {
		case 1:
			if d[0] != 5 || !slices.Equal(a.Inputs, []int{1}) {
				t.Errorf("the odd one became %v of %v", d, a.Inputs)
			}
		default:
			if d[0] != 2 || !slices.Equal(a.Inputs, []int{2, 0}) { // in order of digest
				t.Errorf("the pair became %v of %v", d, a.Inputs)
			}
		}
	}
}

func TestWhatCannotBeAveragedIsLeftOut(t *testing.T) {
	good := component("lora", 1, 2)
	forged := component("lora", 1, 2, 3)
	forged.Signature = good.Signature
	nan := component("lora", 1, float32(math.NaN()))
	inputs := []Input{
		delta(1, []string{"image"}, forged),
		delta(1, []string{"image"}, nan),
		delta(0, []string{"image"}, good),
		delta(-5, []string{"image"}, good),
		delta(1, nil, good),
		delta(1, []string{"image"}, component("connector/image", 1)), // not shared
		delta(1, []string{"image"}, good, good),                      // the second is one too many
	}
	out, weights, rejected, err := aggregate(RuleModalityRows, inputs, byRows(1), []adapter.Component{component("lora", 3, 4)}, 1, []string{"lora"})
	if err != nil || rejected != 7 || len(out) != 1 {
		t.Fatalf("rejected %d, %d components, error %v", rejected, len(out), err)
	}
	if a := out[0]; !slices.Equal(a.Inputs, []int{6, -1}) || !slices.Equal(a.Component.Tensors[0].Data, []float32{2, 3}) {
		t.Errorf("got %+v", a)
	}
	if !slices.Equal(weights, []float64{0, 0, 0, 0, 0, 0, 1}) {
		t.Errorf("weights %v", weights)
	}
}

// Weights of inputs and of every component sum to 1, more rows or modalities never weigh less, and no input changes.
func TestAggregateProperties(t *testing.T) {
	all := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		inputs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Input {
			n := rapid.IntRange(1, 3).Draw(t, "modalities")
			return delta(rapid.IntRange(1, 1000).Draw(t, "rows"), all[:n], component("lora", rapid.Float32Range(-10, 10).Draw(t, "value")))
		}), 1, 6).Draw(t, "inputs")
		sent, err := inputs[0].Parts[0].Open(nil)
		if err != nil {
			t.Fatal(err)
		}
		first := sent.Tensors[0].Data[0]
		out, weights, _, err := aggregate(RuleModalityRows, inputs, byRows(3), []adapter.Component{component("lora", 0)}, rapid.Float64Range(0, 100).Draw(t, "own"), everything)
		if err != nil {
			t.Fatal(err)
		}
		for _, ws := range [][]float64{weights, out[0].Weights} {
			var sum float64
			for _, w := range ws {
				sum += w
			}
			if math.Abs(sum-1) > 1e-12 {
				t.Fatalf("weights %v sum to %v", ws, sum)
			}
		}
		for i, a := range inputs {
			for j, b := range inputs {
				if a.Rows >= b.Rows && len(a.Modalities) >= len(b.Modalities) && weights[i] < weights[j] {
					t.Fatalf("input %d has no less than %d but weighs less: %v", i, j, weights)
				}
			}
		}
		if sent.Tensors[0].Data[0] != first {
			t.Fatal("an input changed")
		}
	})
}
