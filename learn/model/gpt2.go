package model

import (
	"fmt"
	"strconv"

	"github.com/mlecs/mlecs/learn/op"
)

// gpt2 is GPT-2: learned positions, layer norms, GELU, biases, weights [in, out], and a head tied to the token embedding.
type gpt2 struct{ Config }

func (g gpt2) sizes() []size {
	return []size{
		{"n_layer", g.Layers, maxLayers}, {"n_embd", g.Dim, maxDim}, {"n_head", g.Heads, maxDim}, {"n_positions", g.Positions, maxPositions},
	}
}

func (g gpt2) check() error {
	if g.Dim%g.Heads != 0 {
		return fmt.Errorf("n_embd %d is not divisible by n_head %d", g.Dim, g.Heads)
	}
	if g.KVHeads != 0 || g.HeadDim != 0 || g.Hidden != 0 || g.Theta != 0 || g.Untied {
		return fmt.Errorf("KVHeads, HeadDim, Hidden, Theta and Untied are not GPT-2's to set")
	}
	return nil
}

func (gpt2) epsName() string { return "layer_norm_epsilon" }

func (g gpt2) names() names {
	const tokens = "transformer.wte.weight"
	return names{
		tokens: tokens, positions: "transformer.wpe.weight", head: tokens,
		norm: part{name: "transformer.ln_f", norm: true, out: g.Dim},
	}
}

func (gpt2) prefix(layer int) string { return "transformer.h." + strconv.Itoa(layer) + "." }

func (g gpt2) block() []part {
	d := g.Dim
	return []part{
		{name: "ln_1", norm: true, out: d},
		{name: "attn.c_attn", in: d, out: 3 * d},
		{name: "attn.c_proj", in: d, out: d, residual: true},
		{name: "ln_2", norm: true, out: d},
		{name: "mlp.c_fc", in: d, out: 4 * d},
		{name: "mlp.c_proj", in: 4 * d, out: d, residual: true},
	}
}

func (g gpt2) newBlock(steps int, _ *op.Rope, scratch *op.Scratch) *op.Block {
	return op.NewGPT2Block(op.BlockShape{
		Steps: steps, Dim: g.Dim, Heads: g.Heads, KVHeads: g.Heads, HeadDim: g.Dim / g.Heads, Hidden: 4 * g.Dim, Eps: g.Eps,
	}, scratch)
}

func (g gpt2) newNorm() op.Norm { return &op.LayerNorm{Eps: g.Eps} }

func (gpt2) newRope(int) *op.Rope { return nil }

func (gpt2) targets() []string { return []string{"attn.c_attn", "attn.c_proj"} }

// gpt2File is config.json of a GPT-2, as far as it is written here.
type gpt2File struct {
	Layers    int     `json:"n_layer"`
	Dim       int     `json:"n_embd"`
	Heads     int     `json:"n_head"`
	Vocab     int     `json:"vocab_size"`
	Positions int     `json:"n_positions"`
	Eps       float64 `json:"layer_norm_epsilon"`
}

func (g gpt2) hfConfig() any {
	return gpt2File{g.Layers, g.Dim, g.Heads, g.Vocab, g.Positions, g.Eps}
}

// readGPT2 takes the options of a config.json of model type gpt2.
func readGPT2(o *options) Config {
	o.only("architectures", []string{"GPT2LMHeadModel"}, []string{"GPT2Model"})
	c := Config{
		Family: GPT2,
		Layers: o.need("n_layer"), Dim: o.need("n_embd"), Heads: o.need("n_head"), Vocab: o.need("vocab_size"),
		Positions: o.int("n_positions", o.int("n_ctx", 0)), Eps: o.float("layer_norm_epsilon", 1e-5),
	}
	if c.Positions == 0 { // under its older name neither
		o.need("n_positions")
	}
	o.only("n_inner", nil, 4*c.Dim)
	o.only("activation_function", nil, "gelu_new", "gelu_pytorch_tanh")
	o.only("scale_attn_weights", nil, true)
	o.only("scale_attn_by_inverse_layer_idx", nil, false)
	o.only("add_cross_attention", nil, false)
	o.only("tie_word_embeddings", nil, true)
	return c
}
