package adapter_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
)

// modelLoRA is a model's LoRA of a rank on one module, with values that count up.
func modelLoRA(rank int, module string) adapter.Component {
	c := adapter.Component{Name: "lora", Signature: "of this base"}
	n := float32(0)
	for name, shape := range map[string][]int{"lora_A": {rank, 4}, "lora_B": {6, rank}} {
		t := adapter.Tensor{Name: "base_model.model." + module + "." + name + ".weight", Shape: shape}
		for range shape[0] * shape[1] {
			n++
			t.Data = append(t.Data, n/3)
		}
		c.Tensors = append(c.Tensors, t)
	}
	slices.SortFunc(c.Tensors, func(a, b adapter.Tensor) int { return strings.Compare(a.Name, b.Name) })
	return c
}

func TestFitGivesBackWhatWasWritten(t *testing.T) {
	own := modelLoRA(2, "transformer.h.0.attn.c_attn")
	p, err := adapter.NewPEFT(own, "base", 16, 0)
	if err != nil {
		t.Fatal(err)
	}
	var config, weights bytes.Buffer
	if err := p.Write(&config, &weights); err != nil {
		t.Fatal(err)
	}
	if p, err = adapter.ReadPEFT(&config, &weights, 1<<20); err != nil {
		t.Fatal(err)
	}
	got, err := p.Fit(own, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.SameStructure(own, got); err != nil {
		t.Error(err)
	}
	if err := sameTensors(own.Tensors, got.Tensors); err != nil {
		t.Error(err)
	}
}

func TestFitNamesWhatDiffers(t *testing.T) {
	const module = "transformer.h.0.attn.c_attn"
	wide := modelLoRA(2, module)
	wide.Tensors[0].Shape, wide.Tensors[0].Data = []int{2, 2}, wide.Tensors[0].Data[:4]
	two := modelLoRA(2, module)
	two.Tensors = append(two.Tensors, modelLoRA(2, "transformer.h.1.attn.c_attn").Tensors...)
	for want, c := range map[string]struct {
		own   adapter.Component
		alpha float64
	}{
		"r is 2; the model's LoRA has rank 3":                          {modelLoRA(3, module), 16},
		"lora_alpha is 16; the model's is 8":                           {modelLoRA(2, module), 8},
		`"base_model.model.transformer.h.1.attn.c_attn.lora_A.weight"`: {two, 16},
		`h.0.mlp.c_fc.lora_A.weight" is missing`:                       {modelLoRA(2, "transformer.h.0.mlp.c_fc"), 16},
		"has shape [2 4]; the model's is [2 2]":                        {wide, 16},
		"has no LoRA on":                                               {adapter.Component{Name: "lora", Signature: "s"}, 16},
	} {
		p, err := adapter.NewPEFT(modelLoRA(2, module), "base", 16, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Fit(c.own, c.alpha); !errors.Is(err, adapter.ErrStructure) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
