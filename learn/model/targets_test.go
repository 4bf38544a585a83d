package model_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

// TestTargetsOfTheFamily: one list of targets serves a federation with bases of several families.
func TestTargetsOfTheFamily(t *testing.T) {
	gpt, llama := []string{"attn.c_attn", "attn.c_proj"}, []string{"q_proj", "k_proj", "v_proj", "o_proj"}
	for _, test := range []struct {
		name         string
		targets      []string
		onGPT, onLlm []string
	}{
		{"none named", nil, gpt, llama},
		{"no LoRA", []string{}, nil, nil},
		{"of GPT-2", []string{"mlp.c_fc"}, []string{"mlp.c_fc"}, llama},
		{"of Llama", []string{"v_proj"}, gpt, []string{"v_proj"}},
		{"of both", []string{"down_proj", "c_proj", "gate_proj"}, []string{"c_proj"}, []string{"down_proj", "gate_proj"}},
	} {
		for family, want := range map[model.Family][]string{model.GPT2: test.onGPT, model.Llama: test.onLlm} {
			s := spec()
			s.Targets = test.targets
			m := newModel(t, model.RandomBase(configOf(family), 1), s)
			if got := m.Spec().Targets; !slices.Equal(got, want) {
				t.Errorf("%s, on a %v: targets %v, want %v", test.name, family, got, want)
			}
			var tuned []string
			for _, c := range m.Components() {
				if c.Name == "lora" {
					for _, x := range c.Tensors {
						tuned = append(tuned, x.Name)
					}
				}
			}
			for _, target := range want {
				if !slices.ContainsFunc(tuned, func(name string) bool { return strings.HasSuffix(name, "1."+longName(target)+".lora_B.weight") }) {
					t.Errorf("%s, on a %v: no LoRA on %s: %v", test.name, family, target, tuned)
				}
			}
			if len(want) == 0 && tuned != nil {
				t.Errorf("%s, on a %v: LoRA on %v", test.name, family, tuned)
			}
		}
	}
}

// longName is a module that the target names, as it follows the number of the layer.
func longName(target string) string {
	switch target {
	case "c_proj":
		return "mlp.c_proj"
	case "gate_proj", "down_proj":
		return "mlp." + target
	case "q_proj", "k_proj", "v_proj", "o_proj":
		return "self_attn." + target
	}
	return target
}
