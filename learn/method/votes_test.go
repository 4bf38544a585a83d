package method

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"pgregory.net/rapid"
)

// Whatever a minority says, every value of the aggregate is between the least and the largest that an honest edge or the super-peer has.
func TestVotesBoundWhatAMinorityDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.SampledFrom([]string{RuleMedian, RuleTrimmedMean}).Draw(t, "rule")
		n := rapid.IntRange(1, 12).Draw(t, "inputs")
		liars := (n + 1) / trimmedPart // of n edges and the super-peer
		if rule == RuleMedian {
			liars = n / 2
		}
		liars = rapid.IntRange(0, max(0, min(liars, n-1))).Draw(t, "liars")
		own := component("lora", 0.5, -0.5)
		low, high := []float32{0.5, -0.5}, []float32{0.5, -0.5}
		var inputs []Input
		for i := range n {
			extent := float32(1)
			if i < liars {
				extent = math.MaxFloat32
			}
			c := component("lora", rapid.Float32Range(-extent, extent).Draw(t, "a"), rapid.Float32Range(-extent, extent).Draw(t, "b"))
			inputs = append(inputs, delta(rapid.IntRange(1, 1e6).Draw(t, "rows"), []string{"image"}, c))
			for j, v := range c.Tensors[0].Data {
				if i >= liars {
					low[j], high[j] = min(low[j], v), max(high[j], v)
				}
			}
		}
		cfg := Default()
		cfg.Rule = rule
		out, _, rejected, err := Mean(withExactAggregates(cfg), 0, inputs, []adapter.Component{own}, 40, 3, everything)
		if err != nil || rejected != 0 || len(out) != 1 {
			t.Fatal(out, rejected, err)
		}
		for j, v := range out[0].Component.Tensors[0].Data {
			if v < low[j] || v > high[j] {
				t.Fatalf("value %d is %v; honest ones are between %v and %v", j, v, low[j], high[j])
			}
		}
		slices.Reverse(inputs)
		again, _, _, err := Mean(withExactAggregates(cfg), 0, inputs, []adapter.Component{own}, 40, 3, everything)
		if err != nil || fmt.Sprint(again[0].Component) != fmt.Sprint(out[0].Component) {
			t.Fatalf("in another order %v, before %v (%v)", again, out, err)
		}
	})
}

func withExactAggregates(c Config) Config {
	c.AggregateCodec = adapter.CodecSafetensors
	return c
}

func TestVotesByHand(t *testing.T) {
	broken := component("lora", 7)
	broken.Tensors[0].Data[0] = float32(math.NaN())
	inputs := []Input{
		delta(1, []string{"image"}, component("lora", 1)),
		delta(1000, []string{"image"}, component("lora", 100), component("encoder/image", 3)),
		delta(1, []string{"image"}, component("lora", 2)),
		delta(1, []string{"image"}, broken),
	}
	late := delta(1, []string{"image"}, component("lora", 4))
	late.Round = 1
	inputs = append(inputs, late)
	own := []adapter.Component{component("lora", 2.5), component("lora", 3.5)} // two of the super-peer's models have one vote
	for rule, want := range map[string]float32{
		RuleMedian:      3, // of 1, 2, 3, 4, 100
		RuleTrimmedMean: 3, // of 2, 3, 4
	} {
		cfg := Default()
		cfg.Rule = rule
		out, weights, rejected, err := Mean(withExactAggregates(cfg), 2, withRound(inputs, 2), own, 40, 3, everything)
		if err != nil || rejected != 1 {
			t.Fatal(rejected, err)
		}
		lora := find(t, out, "lora")
		if got := lora.Component.Tensors[0].Data[0]; got != want || lora.Rule != rule {
			t.Errorf("%s: %v by %s, want %v", rule, got, lora.Rule, want)
		}
		var sum float64
		for _, w := range lora.Weights {
			sum += w
		}
		if math.Abs(sum-1) > 1e-12 || len(lora.Inputs) != 6 {
			t.Errorf("%s: inputs %v with weights %v", rule, lora.Inputs, lora.Weights)
		}
		if want := []float64{0.25, 0.25, 0.25, 0, 0.25}; !slices.Equal(weights, want) {
			t.Errorf("%s: overall weights %v, want %v", rule, weights, want)
		}
		if got := find(t, out, "encoder/image").Component.Tensors[0].Data[0]; got != 3 {
			t.Errorf("%s: a component of one input is %v, want 3", rule, got)
		}
	}
}

// withRound gives inputs that have none a round.
func withRound(inputs []Input, round uint64) []Input {
	out := slices.Clone(inputs)
	for i := range out {
		if out[i].Round == 0 {
			out[i].Round = round
		}
	}
	return out
}
