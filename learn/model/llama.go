package model

import (
	"fmt"
	"math"
	"strconv"

	"github.com/mlecs/mlecs/learn/op"
)

// llama is Llama: rotary positions, RMS norms, grouped queries, SwiGLU, no biases, weights [out, in], and a head of its own
// or tied to the token embedding.
type llama struct{ Config }

func (l llama) sizes() []size {
	return []size{
		{"num_hidden_layers", l.Layers, maxLayers}, {"hidden_size", l.Dim, maxDim}, {"num_attention_heads", l.Heads, maxDim},
		{"max_position_embeddings", l.Positions, maxPositions}, {"num_key_value_heads", l.KVHeads, maxDim},
		{"head_dim", l.HeadDim, maxDim}, {"intermediate_size", l.Hidden, 4 * maxDim},
	}
}

func (l llama) check() error {
	switch {
	case l.Heads%l.KVHeads != 0:
		return fmt.Errorf("num_attention_heads %d is not divisible by num_key_value_heads %d", l.Heads, l.KVHeads)
	case l.HeadDim%2 != 0:
		return fmt.Errorf("head_dim is %d; rotary positions need an even one", l.HeadDim)
	case l.Heads*l.HeadDim > 4*maxDim:
		return fmt.Errorf("num_attention_heads %d times head_dim %d is more than %d", l.Heads, l.HeadDim, 4*maxDim)
	case !(l.Theta > 1 && l.Theta <= maxTheta) || math.IsNaN(l.Theta):
		return fmt.Errorf("rope_theta is %v, want more than 1 and at most %g", l.Theta, maxTheta)
	}
	return nil
}

func (llama) epsName() string { return "rms_norm_eps" }

func (l llama) names() names {
	n := names{tokens: "model.embed_tokens.weight", norm: part{name: "model.norm", norm: true, noBias: true, out: l.Dim}}
	n.head = n.tokens
	if l.Untied {
		n.head = "lm_head.weight"
	}
	return n
}

func (llama) prefix(layer int) string { return "model.layers." + strconv.Itoa(layer) + "." }

func (l llama) block() []part {
	d, q, k := l.Dim, l.Heads*l.HeadDim, l.KVHeads*l.HeadDim
	norm := func(name string) part { return part{name: name, norm: true, noBias: true, out: d} }
	linear := func(name string, in, out int) part {
		return part{name: name, in: in, out: out, outFirst: true, noBias: true}
	}
	residual := func(p part) part { p.residual = true; return p }
	return []part{
		norm("input_layernorm"),
		linear("self_attn.q_proj", d, q),
		linear("self_attn.k_proj", d, k),
		linear("self_attn.v_proj", d, k),
		residual(linear("self_attn.o_proj", q, d)),
		norm("post_attention_layernorm"),
		linear("mlp.gate_proj", d, l.Hidden),
		linear("mlp.up_proj", d, l.Hidden),
		residual(linear("mlp.down_proj", l.Hidden, d)),
	}
}

func (l llama) newBlock(steps int, rope *op.Rope, scratch *op.Scratch) *op.Block {
	return op.NewLlamaBlock(op.BlockShape{
		Steps: steps, Dim: l.Dim, Heads: l.Heads, KVHeads: l.KVHeads, HeadDim: l.HeadDim, Hidden: l.Hidden, Eps: l.Eps,
	}, rope, scratch)
}

func (l llama) newNorm() op.Norm { return &op.RMSNorm{Eps: l.Eps} }

func (l llama) newRope(steps int) *op.Rope { return op.NewRope(steps, l.HeadDim, l.Theta) }

func (llama) targets() []string { return []string{"q_proj", "k_proj", "v_proj", "o_proj"} }

// llamaFile is config.json of a Llama, as far as it is written here.
type llamaFile struct {
	ModelType string  `json:"model_type"`
	Layers    int     `json:"num_hidden_layers"`
	Dim       int     `json:"hidden_size"`
	Heads     int     `json:"num_attention_heads"`
	KVHeads   int     `json:"num_key_value_heads"`
	HeadDim   int     `json:"head_dim"`
	Hidden    int     `json:"intermediate_size"`
	Vocab     int     `json:"vocab_size"`
	Positions int     `json:"max_position_embeddings"`
	Eps       float64 `json:"rms_norm_eps"`
	Theta     float64 `json:"rope_theta"`
	Tied      bool    `json:"tie_word_embeddings"`
}

func (l llama) hfConfig() any {
	return llamaFile{
		l.Family.String(), l.Layers, l.Dim, l.Heads, l.KVHeads, l.HeadDim, l.Hidden, l.Vocab, l.Positions, l.Eps, l.Theta, !l.Untied,
	}
}

// readLlama takes the options of a config.json of model type llama.
func readLlama(o *options) Config {
	o.only("architectures", []string{"LlamaForCausalLM"})
	c := Config{
		Family: Llama,
		Layers: o.need("num_hidden_layers"), Dim: o.need("hidden_size"), Heads: o.need("num_attention_heads"),
		KVHeads: o.int("num_key_value_heads", 0), HeadDim: o.int("head_dim", 0), Hidden: o.need("intermediate_size"),
		Vocab: o.need("vocab_size"), Positions: o.need("max_position_embeddings"),
		Eps: o.float("rms_norm_eps", 1e-6), Theta: o.float("rope_theta", 0), Untied: !o.bool("tie_word_embeddings", false),
	}
	o.only("hidden_act", nil, "silu", "swish")
	o.only("attention_bias", nil, false)
	o.only("mlp_bias", nil, false)
	o.only("partial_rotary_factor", nil, 1)
	o.plainRope("rope_scaling")
	if theta := o.plainRope("rope_parameters"); c.Theta == 0 {
		c.Theta = theta
	}
	return c.WithDefaults()
}
