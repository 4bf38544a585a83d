package model

import (
	"fmt"
	"math"
	"strconv"
)

// Config is a GPT-2 architecture; the JSON names are HuggingFace's.
type Config struct {
	Layers    int     `json:"n_layer"`
	Dim       int     `json:"n_embd"`
	Heads     int     `json:"n_head"`
	Vocab     int     `json:"vocab_size"`
	Positions int     `json:"n_positions"`
	Eps       float64 `json:"layer_norm_epsilon"`
}

// Limits of a Config. They bound what a Base from outside can make this process allocate.
const (
	maxLayers    = 128
	maxDim       = 1 << 14
	maxPositions = 1 << 16 // the limit of vocab_size is the tokenizer's
)

// Validate says which field is wrong.
func (c Config) Validate() error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"n_layer", c.Layers, maxLayers},
		{"n_embd", c.Dim, maxDim},
		{"n_head", c.Heads, maxDim},
		{"vocab_size", c.Vocab, maxVocab},
		{"n_positions", c.Positions, maxPositions},
	} {
		if f.value < 1 || f.value > f.max {
			return fmt.Errorf("config: %s is %d, want 1 to %d", f.name, f.value, f.max)
		}
	}
	if c.Dim%c.Heads != 0 {
		return fmt.Errorf("config: n_embd %d is not divisible by n_head %d", c.Dim, c.Heads)
	}
	if !(c.Eps > 0 && c.Eps < 1) || math.IsNaN(c.Eps) {
		return fmt.Errorf("config: layer_norm_epsilon is %v, want more than 0 and less than 1", c.Eps)
	}
	return nil
}

// named is the name and shape of a tensor.
type named struct {
	name  string
	shape []int
}

// Names of the tensors outside the blocks.
const (
	wteName = "transformer.wte.weight"
	wpeName = "transformer.wpe.weight"
	lnfName = "transformer.ln_f"
)

// tensors lists the tensors of the architecture. The output head is tied to wte and has none.
func (c Config) tensors() []named {
	all := []named{{wteName, []int{c.Vocab, c.Dim}}, {wpeName, []int{c.Positions, c.Dim}}}
	for i := range c.Layers {
		for _, part := range c.block() {
			name := blockPrefix(i) + part.name
			if part.norm {
				all = append(all, named{name + ".weight", []int{c.Dim}}, named{name + ".bias", []int{c.Dim}})
			} else {
				all = append(all, named{name + ".weight", []int{part.in, part.out}}, named{name + ".bias", []int{part.out}})
			}
		}
	}
	return append(all, named{lnfName + ".weight", []int{c.Dim}}, named{lnfName + ".bias", []int{c.Dim}})
}

func blockPrefix(layer int) string { return "transformer.h." + strconv.Itoa(layer) + "." }

// part is a module of a block: a layer norm, or a linear map that LoRA can tune.
type part struct {
	name    string
	norm    bool
	in, out int
}

// block lists the modules of a block in the order of op.Block's inputs.
func (c Config) block() []part {
	d := c.Dim
	return []part{
		{name: "ln_1", norm: true},
		{name: "attn.c_attn", in: d, out: 3 * d},
		{name: "attn.c_proj", in: d, out: d},
		{name: "ln_2", norm: true},
		{name: "mlp.c_fc", in: d, out: 4 * d},
		{name: "mlp.c_proj", in: 4 * d, out: d},
	}
}
