package adapter_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
)

// generated is a LoRA of one module with the given ranks, and values that do not compress; integers alone decide its bits.
func generated(seed uint64, rank int) adapter.Component {
	r := rand.New(rand.NewPCG(seed, 9))
	draw := func(name string, shape ...int) adapter.Tensor {
		data := make([]float32, shape[0]*shape[1])
		for i := range data {
			data[i] = float32(int32(r.Uint32())) / (1 << 31) * float32(1+i%13)
		}
		return adapter.Tensor{Name: name, Shape: shape, Data: data}
	}
	ts := []adapter.Tensor{draw("h.q.lora_A.weight", rank, 37), draw("h.q.lora_B.weight", 70, rank)}
	return adapter.Component{Name: "lora", Signature: adapter.Signature(ts, "generated"), Tensors: ts}
}

// TestAggregatesHaveTheSameBlobsOnEveryArchitecture: what one node encodes and averages, another one recomputes, on whatever processor it
// has. The hashes are of blobs.
func TestAggregatesHaveTheSameBlobsOnEveryArchitecture(t *testing.T) {
	kerneltest.Each(t, testAggregatesHaveTheSameBlobs)
}

func testAggregatesHaveTheSameBlobs(t *testing.T) {
	var alike, ranks []adapter.Contribution
	for i := range 7 {
		alike = append(alike, adapter.Contribution{Component: generated(uint64(i), 4), Weight: 1 / float64(i+3), Alpha: 16})
		ranks = append(ranks, adapter.Contribution{Component: generated(uint64(i), 2+i%3), Weight: 1 / float64(i+3), Alpha: 16})
	}
	check := func(name, codec string, c adapter.Component) []byte {
		blob, err := parseCodec(t, codec).Encode(c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sum := sha256.Sum256(blob)
		if got := hex.EncodeToString(sum[:8]); got != hashesOfBlobs[name] {
			t.Errorf("%q: %q is the blob's hash, want %q", name, got, hashesOfBlobs[name])
		}
		return blob
	}
	for _, codec := range []string{"safetensors", "bf16", "int8", "int4", "topk", "lowrank:0.1"} {
		var sources []adapter.Source
		for i, c := range alike {
			blob, err := parseCodec(t, codec).Encode(c.Component)
			if i == 0 {
				blob = check(codec, codec, c.Component)
			}
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, adapter.Source{Weight: c.Weight, Open: func(d *adapter.Decoder) (adapter.Component, error) {
				return d.Decode(parseCodec(t, codec).Name(), blob, 1<<20)
			}})
		}
		var mean adapter.RunningMean
		if _, err := mean.AddAll(sources); err != nil {
			t.Fatal(err)
		}
		c, err := mean.Mean()
		if err != nil {
			t.Fatal(err)
		}
		for _, aggregate := range []string{"safetensors", "bf16", "int8"} {
			check("mean of "+codec+" as "+aggregate, aggregate, c)
		}
	}
	for _, s := range ruleSuites {
		input := alike
		if s.ranks {
			input = ranks
		}
		c, err := s.rule.Combine(input)
		if err != nil {
			t.Fatalf("%s: %v", s.rule.Name(), err)
		}
		check(s.rule.Name(), "safetensors", c)
	}
}

var hashesOfBlobs = map[string]string{
	"safetensors":                        "627358c51c401d4e",
	"mean of safetensors as safetensors": "62e7dcd7bf5c9f9d",
	"mean of safetensors as bf16":        "4e50d5c4e3dc2b0f",
	"mean of safetensors as int8":        "05b7c5240f4f4fe7",
	"bf16":                               "e2964dbfc26cf29f",
	"mean of bf16 as safetensors":        "9b41a18bd9d0e2e1",
	"mean of bf16 as bf16":               "4118222cb77183b4",
	"mean of bf16 as int8":               "247bec7e2a6efbdf",
	"int8":                               "30dc7dd99232390a",
	"mean of int8 as safetensors":        "f846c3489507d333",
	"mean of int8 as bf16":               "43a8f2545d80b4d1",
	"mean of int8 as int8":               "c286134ec17918f6",
	"int4":                               "691057f92869a1a9",
	"mean of int4 as safetensors":        "575fa5835e951b0a",
	"mean of int4 as bf16":               "1aca060e0587c6e3",
	"mean of int4 as int8":               "3bf62248b77e8a95",
	"topk":                               "67b837275ae5eac8",
	"mean of topk as safetensors":        "23be5892a0ad11b7",
	"mean of topk as bf16":               "b8b04254cd0293d4",
	"mean of topk as int8":               "7103fa46e0cbd957",
	"lowrank:0.1":                        "33fa444b27bbc69f",
	"mean of lowrank:0.1 as safetensors": "75dd2b9beb07e509",
	"mean of lowrank:0.1 as bf16":        "596fa76c32cc6aea",
	"mean of lowrank:0.1 as int8":        "ed219fdf35a227dc",
	"weighted-mean":                      "62e7dcd7bf5c9f9d",
	"zero-padded-mean":                   "822105c979dc4df2",
	"dimension-wise-mean":                "f77fd5a4ef62811d",
	"product-mean":                       "b57cdcc2453c9142",
	"product-mean(scaled)":               "2620b707a1879767",
	"flora":                              "9670bc333843d4c0",
	"flora(scaled)":                      "e8fc70ed6af15050",
	"hetlora":                            "2199eefdb44b463d",
	"hetlora(global)":                    "2199eefdb44b463d",
	"median":                             "1651d67ad5c532db",
	"trimmed-mean(1)":                    "49f8e5f51e9dbdaf",
	"krum(1)":                            "061c7366d4a239f1",
	"multi-krum(1,3)":                    "3a48b5d8e8bf4f2f",
	"centered-clip(1000,2)":              "64016b44e492e575",
}
