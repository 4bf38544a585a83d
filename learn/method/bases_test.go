package method_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

var baseTexts = []string{"one", "two", "three"}

func TestBasesOfTwoFamilies(t *testing.T) {
	ctx := context.Background()
	cfg := method.Default()
	one, err := method.PretrainBases(ctx, cfg, baseTexts, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Families = []method.Family{method.SecondFamily()}
	stages := map[string]bool{}
	two, err := method.PretrainBases(ctx, cfg, baseTexts, func(stage string, _, _ int64) { stages[stage] = true })
	if err != nil {
		t.Fatal(err)
	}
	if one.Small[0].Digest() != two.Small[0].Digest() || one.Large.Digest() != two.Large.Digest() {
		t.Error("a second family changes the bases of the first")
	}
	if f := two.Small[1].Config.Family; f != model.Llama {
		t.Errorf("the second family's base is a %v", f)
	}
	if two.Small[1].Tokenizer != two.Large.Tokenizer {
		t.Error("the bases have several tokenizers")
	}
	if len(stages) != 3 {
		t.Errorf("progress tells of %v, want three stages", stages)
	}

	given := method.Bases{Large: two.Large, Small: []*model.Base{nil, two.Small[1]}}
	completed, err := given.Complete(ctx, cfg, []string{"other words"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if completed.Small[1] != two.Small[1] || completed.Small[0].Tokenizer != two.Small[1].Tokenizer {
		t.Error("the base that was given is not kept, or the others have another tokenizer")
	}
	small, _ := testBases(t)
	given.Small[0] = small
	if _, err := given.Complete(ctx, cfg, baseTexts, nil); !errors.Is(err, method.ErrTokenizers) {
		t.Errorf("bases of two tokenizers: error %v", err)
	}
	given.Small = make([]*model.Base, 3)
	if _, err := given.Complete(ctx, cfg, baseTexts, nil); err == nil {
		t.Error("three small bases for two families are taken")
	}
}

func TestConfigOfAFamily(t *testing.T) {
	cfg := method.Default()
	cfg.Families = []method.Family{method.SecondFamily(), {Rank: 3}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	first, second, third := cfg.Of(0), cfg.Of(1), cfg.Of(2)
	if !reflect.DeepEqual(first, method.Default()) {
		t.Errorf("family 0 is %+v", first)
	}
	if s := second.Spec; s.Width != 12 || s.Projection != 48 || s.Fused != 192 || s.Rank != 4 || s.Prompt != cfg.Spec.Prompt {
		t.Errorf("family 1 is %+v", s)
	}
	if s := third.Spec; s.Width != cfg.Spec.Width || s.Fused != cfg.Spec.Fused || s.Rank != 3 {
		t.Errorf("family 2 is %+v", s)
	}
	if cfg.CheckFamily(2) != nil || cfg.CheckFamily(3) == nil || cfg.CheckFamily(-1) == nil {
		t.Error("families are not 0 to 2")
	}
}

func TestValidateNamesTheFamily(t *testing.T) {
	for want, f := range map[string]method.Family{
		"family 1: method: spec.rank is -1":          {Rank: -1},
		"family 1: method: spec.fused is 100000":     {Fused: 100000},
		`family 1: model: architecture is "mamba"`:   {Model: method.Backbone{Architecture: "mamba", Layers: 1, Dim: 8, Heads: 2}},
		"family 1: model: config: num_hidden_layers": {Model: method.Backbone{Architecture: "llama", Dim: 8, Heads: 2}},
		"family 1: model: gpt2 has no kv_heads":      {Model: method.Backbone{Architecture: "gpt2", Layers: 1, Dim: 8, Heads: 2, KVHeads: 1}},
		"not divisible by num_key_value_heads 3":     {Model: method.Backbone{Architecture: "llama", Layers: 1, Dim: 8, Heads: 4, KVHeads: 3}},
	} {
		cfg := method.Default()
		cfg.Families = []method.Family{f}
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	cfg := method.Default()
	cfg.Families = make([]method.Family, method.MaxFamilies)
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "families") {
		t.Errorf("too many families: error %v", err)
	}
}
