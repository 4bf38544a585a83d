package method

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mlecs/mlecs/learn/model"
)

// MaxFamilies bounds the families of a federation, the first included: a super-peer keeps a small model of each.
const MaxFamilies = 8

// Family is the structure of the nodes of one family where it differs from the first family's. Zero fields are as in Config.Spec.
type Family struct {
	Model      Backbone `json:"model"`      // of the small base that is pretrained if none is given; zero: SmallBackbone
	Width      int      `json:"width"`      // encoder channels
	Projection int      `json:"projection"` // width of a modality's vector
	Fused      int      `json:"fused"`      // width of the fused representation
	Rank       int      `json:"rank"`       // LoRA r
}

// ParseFamily reads a Family as JSON, as in a genesis. Fields that it does not know are errors.
func ParseFamily(text string) (f Family, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("structure %.200q: %w", text, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return f, fmt.Errorf("structure %.200q: more than one JSON object", text)
	}
	return f, nil
}

// Backbone is the architecture of a base model that is pretrained here.
type Backbone struct {
	Architecture string `json:"architecture"` // "gpt2" or "llama"
	Layers       int    `json:"layers"`
	Dim          int    `json:"dim"`
	Heads        int    `json:"heads"`
	KVHeads      int    `json:"kv_heads"` // llama: heads of keys and values; 0: as many as heads
}

// SmallBackbone is that of the first family's edges, LargeBackbone that of the super-peers.
func SmallBackbone() Backbone { return Backbone{Architecture: "gpt2", Layers: 2, Dim: 64, Heads: 4} }

// LargeBackbone: see SmallBackbone.
func LargeBackbone() Backbone { return Backbone{Architecture: "gpt2", Layers: 4, Dim: 128, Heads: 4} }

// SecondFamily is a family that shares nothing with the default first one but its tokenizer: a Llama base, and other widths and rank.
func SecondFamily() Family {
	return Family{
		Model: Backbone{Architecture: "llama", Layers: 2, Dim: 64, Heads: 4, KVHeads: 2},
		Width: 12, Projection: 48, Fused: 192, Rank: 4,
	}
}

// backbonePositions is how many tokens, soft prompt included, a pretrained base can read.
const backbonePositions = 128

// Config is the backbone's for a vocabulary.
func (b Backbone) Config(vocab int) (model.Config, error) {
	c := model.Config{Layers: b.Layers, Dim: b.Dim, Heads: b.Heads, KVHeads: b.KVHeads, Vocab: vocab, Positions: backbonePositions, Eps: 1e-5}
	switch b.Architecture {
	case model.GPT2.String():
		if b.KVHeads != 0 {
			return c, errors.New("model: gpt2 has no kv_heads")
		}
	case model.Llama.String():
		c.Family = model.Llama
	default:
		return c, fmt.Errorf("model: architecture is %q; it must be %q or %q", b.Architecture, model.GPT2, model.Llama)
	}
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("model: %w", err)
	}
	return c, nil
}

// backbone is that of the small base of a family.
func (c Config) backbone(family int) Backbone {
	if family > 0 && c.Families[family-1].Model != (Backbone{}) {
		return c.Families[family-1].Model
	}
	return SmallBackbone()
}

// Of is the config for the nodes of a family, with its structure as Spec and without other families. family is 0 to len(c.Families).
func (c Config) Of(family int) Config {
	if family > 0 {
		f := c.Families[family-1]
		for _, d := range []struct {
			field *int
			value int
		}{{&c.Spec.Width, f.Width}, {&c.Spec.Projection, f.Projection}, {&c.Spec.Fused, f.Fused}, {&c.Spec.Rank, f.Rank}} {
			if d.value != 0 {
				*d.field = d.value
			}
		}
	}
	c.Families = nil
	return c
}

// CheckFamily tells whether there is a family of this number.
func (c Config) CheckFamily(family int) error {
	if family < 0 || family > len(c.Families) {
		return fmt.Errorf("there is no family %d; families are 0 to %d", family, len(c.Families))
	}
	return nil
}

// validateFamilies names the first family that is wrong, by its number.
func (c Config) validateFamilies() error {
	if n := 1 + len(c.Families); n > MaxFamilies {
		return fmt.Errorf("method: %d families; at most %d are supported", n, MaxFamilies)
	}
	for family := 1; family <= len(c.Families); family++ {
		if err := c.Of(family).validateSpec(); err != nil {
			return fmt.Errorf("family %d: %w", family, err)
		}
		if _, err := c.backbone(family).Config(1); err != nil {
			return fmt.Errorf("family %d: %w", family, err)
		}
	}
	return nil
}
