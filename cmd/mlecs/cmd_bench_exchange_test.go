package main

import (
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/bench"
	"github.com/mlecs/mlecs/learn/model"
)

// gpt2Small is the number of GPT-2's parameters in its smallest size: 12 layers, width 768, 50,257 tokens.
const gpt2Small = 124_439_808

// TestBytesOnGPT2Small: what an edge sends in a round, the signed record included, is a small part of the model as float32. A base of one
// layer says what the components are; LoRA is counted for twelve.
func TestBytesOnGPT2Small(t *testing.T) {
	base := model.RandomBase(model.Config{Family: model.GPT2, Layers: 1, Dim: 768, Heads: 12, Vocab: 256, Positions: 64, Eps: 1e-5}, 1)
	x, err := measureExchange(t.Context(), bench.Workload{Name: "gpt2", Base: base})
	if err != nil {
		t.Fatal(err)
	}
	params := int64(gpt2Small)
	times := map[string]int64{"lora": 12}
	for _, c := range x.Components {
		params += c.Params * max(times[c.Name], 1)
	}
	for codec, most := range map[string]float64{"int8": 0.0065, "int4": 0.0065, "lowrank:0.008": 0.00065, "topk:0.01": 0.00065} {
		bytes := x.DeltaRecordBytes
		for _, c := range x.Components {
			bytes += c.Bytes[codec] * max(times[c.Name], 1)
		}
		if fraction := float64(bytes) / float64(4*params); fraction > most || fraction <= 0 {
			t.Errorf("%s: %.6f of the model's bytes, want at most %v", codec, fraction, most)
		}
	}
	if x.DeltaRecordBytes < 200 || x.AggregateRecordBytes < x.DeltaRecordBytes || x.SupervisionBytes < 40*256 || x.Down.Bytes < x.SupervisionBytes {
		t.Errorf("%+v", x)
	}
	var out strings.Builder
	x.print(&page{w: &out})
	for _, want := range []string{"encoder/image", "signed record", "of the model as float32", "supervision of 40 rows", "20 edges"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}
