package adapter_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"pgregory.net/rapid"
)

func TestWeightedMeanByHand(t *testing.T) {
	got, err := adapter.WeightedMean([]adapter.Component{lora(1, -2), lora(5, 6)}, []float64{3, 1})
	if err != nil {
		t.Fatal(err)
	}
	if d := got.Tensors[0].Data; got.Name != "lora" || d[0] != 2 || d[1] != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestWeightedMeanRefuses(t *testing.T) {
	other := lora(1, 2, 3)
	nan := math.NaN()
	for name, c := range map[string]struct {
		cs      []adapter.Component
		weights []float64
		want    string
	}{
		"nothing":   {nil, nil, "no components"},
		"weights":   {[]adapter.Component{lora(1)}, []float64{1, 2}, "1 components but 2 weights"},
		"negative":  {[]adapter.Component{lora(1)}, []float64{-1}, "weight 0 is -1"},
		"nan":       {[]adapter.Component{lora(1)}, []float64{nan}, "weight 0 is NaN"},
		"zero":      {[]adapter.Component{lora(1), lora(2)}, []float64{0, 0}, "sum to 0"},
		"overflow":  {[]adapter.Component{lora(1), lora(2)}, []float64{math.MaxFloat64, math.MaxFloat64}, "sum to +Inf"},
		"signature": {[]adapter.Component{lora(1, 2), other}, []float64{1, 1}, `component "lora": signature ` + other.Signature},
	} {
		_, err := adapter.WeightedMean(c.cs, c.weights)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := adapter.WeightedMean([]adapter.Component{lora(1, 2), other}, []float64{1, 1}); !errors.Is(err, adapter.ErrStructure) {
		t.Errorf("error %v does not wrap ErrStructure", err)
	}
}

// Of equal inputs the mean is that input; it never leaves the range of its inputs, and it does not change them.
func TestWeightedMeanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "inputs")
		var cs []adapter.Component
		var weights []float64
		lo, hi := float32(math.Inf(1)), float32(math.Inf(-1))
		for range n {
			v := rapid.Float32Range(-1e6, 1e6).Draw(t, "value")
			lo, hi = min(lo, v), max(hi, v)
			cs = append(cs, lora(v))
			weights = append(weights, rapid.Float64Range(1e-3, 1e3).Draw(t, "weight"))
		}
		first := cs[0].Tensors[0].Data[0]
		mean, err := adapter.WeightedMean(cs, weights)
		if err != nil {
			t.Fatal(err)
		}
		if m := mean.Tensors[0].Data[0]; m < lo || m > hi {
			t.Fatalf("mean %v is outside [%v, %v]", m, lo, hi)
		}
		if cs[0].Tensors[0].Data[0] != first {
			t.Fatal("an input changed")
		}
	})
}

// A third of three, rounded, is one; a fused multiply-add sees that the float64 nearest to a third is too small, and leaves -5.6e-17.
func TestWeightedMeanIsNotFused(t *testing.T) {
	got, err := adapter.WeightedMean([]adapter.Component{lora(-1), lora(3)}, []float64{1, 1.0 / 3})
	if err != nil {
		t.Fatal(err)
	}
	if v := got.Tensors[0].Data[0]; v != 0 {
		t.Errorf("got %v, want 0", v)
	}
}
