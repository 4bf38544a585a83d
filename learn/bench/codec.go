package bench

import (
	"context"
	"fmt"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Codec is the cost and the gain of every codec on one delta.
type Codec struct {
	Params int         `json:"params"`
	Runs   int         `json:"runs"`
	Codecs []CodecCost `json:"codecs"`
	Machine
}

// CodecCost is what one codec makes of the delta.
type CodecCost struct {
	Codec  string `json:"codec"`
	Bytes  int    `json:"bytes"`
	Encode Timing `json:"encode"`
	Decode Timing `json:"decode"`
}

// codecs are all with the fractions that hold if nothing is said.
var codecs = []string{
	adapter.CodecSafetensors, adapter.CodecBF16, adapter.CodecInt8, adapter.CodecInt4, adapter.CodecTopK, adapter.CodecLowRank,
}

// MeasureCodec encodes and decodes n times with every codec.
func MeasureCodec(ctx context.Context, n int) (Codec, error) {
	result := Codec{Params: codecParams, Runs: n}
	delta := lora(codecParams, 1)
	for _, name := range codecs {
		codec, err := adapter.ParseCodec(name)
		if err != nil {
			return result, err
		}
		var blob []byte
		cost := CodecCost{Codec: name}
		cost.Encode, err = measure(ctx, n, func() (err error) {
			blob, err = codec.Encode(delta)
			return err
		})
		if err != nil {
			return result, fmt.Errorf("encode as %s: %w", name, err)
		}
		cost.Bytes = len(blob)
		cost.Decode, err = measure(ctx, n, func() error {
			_, err := adapter.Decode(codec.Name(), blob, codecParams)
			return err
		})
		if err != nil {
			return result, fmt.Errorf("decode %s: %w", name, err)
		}
		result.Codecs = append(result.Codecs, cost)
	}
	result.Machine = machine()
	return result, nil
}

// codecParams is the size of the delta: that of a LoRA of rank 8 on the attention of a small model.
const codecParams = 1 << 16
