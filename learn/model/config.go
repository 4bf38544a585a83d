package model

import (
	"fmt"
	"math"
)

// Family is an architecture of backbones.
type Family int

// The families.
const (
	GPT2 Family = iota
	Llama
)

func (f Family) String() string {
	switch f {
	case GPT2:
		return "gpt2"
	case Llama:
		return "llama"
	}
	return fmt.Sprintf("family %d", int(f))
}

// Config is the architecture of a backbone. As JSON it is HuggingFace's config.json of its family.
type Config struct {
	Family    Family
	Layers    int
	Dim       int
	Heads     int
	Vocab     int
	Positions int
	Eps       float64 // of the norms

	// Of Llama alone; zero takes the default in the comment.
	KVHeads int     // heads of keys and values; divides Heads: Heads
	HeadDim int     // width of a head: Dim/Heads
	Hidden  int     // width of the feed-forward layer: 8/3 Dim, rounded up to a multiple of 8
	Theta   float64 // base of the rotary angles: 10000
	Untied  bool    // the head has a matrix of its own
}

// Limits of a Config. They bound what a Base from outside can make this process allocate.
const (
	maxLayers    = 256
	maxDim       = 1 << 16
	maxPositions = 1 << 20 // the limit of vocab_size is the tokenizer's
	maxTheta     = 1e12
	maxBaseBytes = 8 << 30 // of all tensors as float32
)

// WithDefaults fills in zero fields that have a default.
func (c Config) WithDefaults() Config {
	if c.Family != Llama || c.Heads < 1 {
		return c
	}
	for _, f := range []struct {
		field *int
		value int
	}{{&c.KVHeads, c.Heads}, {&c.HeadDim, c.Dim / c.Heads}, {&c.Hidden, (c.Dim*8/3 + 7) / 8 * 8}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if c.Theta == 0 {
		c.Theta = 10000
	}
	return c
}

// Validate says which field is wrong, by its name in config.json.
func (c Config) Validate() error {
	a, err := c.architecture()
	if err != nil {
		return err
	}
	for _, f := range append(a.sizes(), size{"vocab_size", c.Vocab, maxVocab}) {
		if f.value < 1 || f.value > f.max {
			return fmt.Errorf("config: %s is %d, want 1 to %d", f.name, f.value, f.max)
		}
	}
	if err := a.check(); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if !(c.Eps > 0 && c.Eps < 1) || math.IsNaN(c.Eps) {
		return fmt.Errorf("config: %s is %v, want more than 0 and less than 1", a.epsName(), c.Eps)
	}
	if n := c.params(); n > maxBaseBytes/4 {
		return fmt.Errorf("config: %d parameters; at most %d are supported", n, int64(maxBaseBytes/4))
	}
	return nil
}
