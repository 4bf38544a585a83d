package model_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// folder is a HuggingFace folder that a test puts together.
type folder struct {
	config  map[string]any
	tensors map[string]adapter.Tensor
	dtype   string // of all tensors: F32 unless set
	masks   []string
	shards  map[string]string // tensor -> file, a.safetensors for those that the index leaves out; nil: one file
	drop    string            // a tensor that its shard lacks
}

func newFolder(t testing.TB, base *model.Base) *folder {
	t.Helper()
	dir := t.TempDir()
	if err := base.WriteFolder(dir); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	f := &folder{tensors: maps.Clone(base.Tensors)}
	if err := json.Unmarshal(raw, &f.config); err != nil {
		t.Fatal(err)
	}
	return f
}

// write puts the folder on disk, without a tokenizer.
func (f *folder) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, raw []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config, err := json.Marshal(f.config)
	if err != nil {
		t.Fatal(err)
	}
	put("config.json", config)
	files := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(f.tensors)) {
		file := "model.safetensors"
		if f.shards != nil {
			file = "a.safetensors"
		}
		if listed, ok := f.shards[name]; ok {
			file = listed
		}
		if name != f.drop {
			files[file] = append(files[file], name)
		}
	}
	for file, names := range files {
		put(file, f.encode(t, names))
	}
	if f.shards != nil {
		index, err := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 1}, "weight_map": f.shards})
		if err != nil {
			t.Fatal(err)
		}
		put("model.safetensors.index.json", index)
	}
	return dir
}

// encode writes tensors in the folder's type, and masks of type BOOL.
func (f *folder) encode(t testing.TB, names []string) []byte {
	t.Helper()
	header := map[string]any{}
	var data []byte
	entry := func(name, dtype string, shape []int, from int) {
		header[name] = map[string]any{"dtype": dtype, "shape": shape, "data_offsets": []int{from, len(data)}}
	}
	dtype := f.dtype
	if dtype == "" {
		dtype = "F32"
	}
	for _, name := range names {
		from := len(data)
		for _, v := range f.tensors[name].Data {
			bits := math.Float32bits(v)
			switch dtype {
			case "F32":
				data = binary.LittleEndian.AppendUint32(data, bits)
			case "BF16":
				data = binary.LittleEndian.AppendUint16(data, uint16(bits>>16))
			case "F16":
				data = binary.LittleEndian.AppendUint16(data, half(v))
			}
		}
		entry(name, dtype, f.tensors[name].Shape, from)
	}
	for _, name := range f.masks {
		from := len(data)
		data = append(data, 1)
		entry(name, "BOOL", []int{1, 1, 1, 1}, from)
	}
	raw, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(raw))), raw...), data...)
}

// half cuts a number of moderate size down to binary16.
func half(v float32) uint16 {
	bits := math.Float32bits(v)
	exponent := int(bits>>23&0xff) - 127 + 15
	if exponent <= 0 {
		return uint16(bits >> 31 << 15)
	}
	return uint16(bits>>31<<15) | uint16(exponent)<<10 | uint16(bits>>13&0x3ff)
}

func TestFolderComesBack(t *testing.T) { eachFamily(t, testFolderComesBack) }

func testFolderComesBack(t *testing.T, family model.Family) {
	base, dir := tinyOf(t, family, 2), t.TempDir()
	if err := base.WriteFolder(dir); err != nil {
		t.Fatal(err)
	}
	read, err := model.ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(write(t, read), write(t, base)) {
		t.Error("the folder holds another base")
	}
}

func TestFolderForms(t *testing.T) { eachFamily(t, testFolderForms) }

func testFolderForms(t *testing.T, family model.Family) {
	base := tinyOf(t, family, 1)
	for _, test := range []struct {
		name   string
		change func(f *folder)
		error  float64 // largest relative one
	}{
		{"as it is", func(*folder) {}, 0},
		{"half precision", func(f *folder) { f.dtype = "F16" }, 1e-3},
		{"bfloat16", func(f *folder) { f.dtype = "BF16" }, 8e-3},
		{"masks and frequencies", func(f *folder) {
			f.masks = []string{"transformer.h.0.attn.bias", "transformer.h.0.attn.masked_bias", "model.layers.0.self_attn.rotary_emb.inv_freq"}
		}, 0},
		{"shards", func(f *folder) {
			f.shards = map[string]string{}
			for name := range f.tensors {
				f.shards[name] = []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}[len(name)%2]
			}
		}, 0},
	} {
		f := newFolder(t, base)
		test.change(f)
		read, err := model.ReadFolder(f.write(t))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if read.Config != base.Config || len(read.Tensors) != len(base.Tensors) {
			t.Errorf("%s: config %+v with %d tensors, want %+v with %d", test.name, read.Config, len(read.Tensors), base.Config, len(base.Tensors))
		}
		for name, want := range base.Tensors {
			for i, v := range want.Data {
				if got := read.Tensors[name].Data[i]; !(math.Abs(float64(got-v)) <= test.error*math.Abs(float64(v))+test.error/10) {
					t.Fatalf("%s: tensor %s: value %d is %v, want %v", test.name, name, i, got, v)
				}
			}
		}
	}
}

func TestGPT2FolderWithoutItsHead(t *testing.T) {
	base := tiny(t, 1)
	f := newFolder(t, base)
	f.tensors = map[string]adapter.Tensor{}
	for name, x := range base.Tensors {
		f.tensors[strings.TrimPrefix(name, "transformer.")] = x
	}
	f.tensors["lm_head.weight"] = base.Tensors["transformer.wte.weight"]
	read, err := model.ReadFolder(f.write(t))
	if err != nil {
		t.Fatal(err)
	}
	if read.Digest() != base.Digest() {
		t.Error("other weights")
	}
}

func TestTiedHeadMayBeStored(t *testing.T) {
	base := tinyOf(t, model.Llama, 1)
	f := newFolder(t, base)
	f.config["tie_word_embeddings"] = true
	if _, err := model.ReadFolder(f.write(t)); err == nil || !strings.Contains(err.Error(), "lm_head.weight") {
		t.Errorf("a head that differs from what it is tied to: %v", err)
	}
	f.tensors["lm_head.weight"] = f.tensors["model.embed_tokens.weight"]
	read, err := model.ReadFolder(f.write(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := read.Tensors["lm_head.weight"]; ok || read.Config.Untied {
		t.Error("the tied head was kept")
	}
}

func TestBadFolders(t *testing.T) {
	const q = "model.layers.1.self_attn.q_proj.weight"
	set := func(name string, value any) func(*folder) { return func(f *folder) { f.config[name] = value } }
	split := func(f *folder) {
		f.shards = map[string]string{}
		for name := range f.tensors {
			f.shards[name] = "a.safetensors"
		}
	}
	for _, test := range []struct {
		name   string
		family model.Family
		change func(f *folder)
		want   []string // parts of the error
	}{
		{"architecture", model.Llama, set("model_type", "mamba"), []string{"mamba", "gpt2, llama"}},
		{"class", model.Llama, set("architectures", []string{"LlamaForSequenceClassification"}), []string{"architectures", "LlamaForSequenceClassification"}},
		{"scaled rope", model.Llama, set("rope_scaling", map[string]any{"type": "linear", "factor": 2}), []string{"rope_scaling", "linear"}},
		{"scaled rope, newer", model.Llama, set("rope_parameters", map[string]any{"rope_type": "yarn"}), []string{"rope_parameters", "yarn"}},
		{"partial rope", model.Llama, set("partial_rotary_factor", 0.5), []string{"partial_rotary_factor"}},
		{"attention bias", model.Llama, set("attention_bias", true), []string{"attention_bias"}},
		{"MLP bias", model.Llama, set("mlp_bias", true), []string{"mlp_bias"}},
		{"activation", model.Llama, set("hidden_act", "gelu"), []string{"hidden_act", "gelu"}},
		{"quantised", model.Llama, set("quantization_config", map[string]any{"bits": 4}), []string{"quantization_config"}},
		{"heads", model.Llama, set("num_key_value_heads", 3), []string{"num_attention_heads 4", "num_key_value_heads 3"}},
		{"odd head", model.Llama, set("head_dim", 7), []string{"head_dim is 7"}},
		{"theta", model.Llama, set("rope_theta", -1), []string{"rope_theta"}},
		{"text for a number", model.Llama, set("hidden_size", "wide"), []string{"hidden_size", "wide"}},
		{"part of a layer", model.Llama, set("num_hidden_layers", 1.5), []string{"num_hidden_layers", "1.5"}},
		{"missing number", model.Llama, func(f *folder) { delete(f.config, "hidden_size") }, []string{"hidden_size is missing"}},
		{"huge", model.Llama, func(f *folder) { f.config["intermediate_size"], f.config["hidden_size"] = 1<<18, 1<<16 }, []string{"parameters"}},
		{"activation", model.GPT2, set("activation_function", "relu"), []string{"activation_function", "relu"}},
		{"inner width", model.GPT2, set("n_inner", 100), []string{"n_inner", "100", "128"}},
		{"untied", model.GPT2, set("tie_word_embeddings", false), []string{"tie_word_embeddings"}},
		{"scaled attention", model.GPT2, set("scale_attn_by_inverse_layer_idx", true), []string{"scale_attn_by_inverse_layer_idx"}},
		{"missing tensor", model.Llama, func(f *folder) { delete(f.tensors, q) }, []string{"missing", q, "[32 32]"}},
		{"tensor too many", model.Llama, func(f *folder) { f.tensors["model.bias"] = adapter.Tensor{Shape: []int{1}, Data: []float32{1}} }, []string{"model.bias", "llama"}},
		{"another layer", model.Llama, func(f *folder) {
			f.tensors["model.layers.2.self_attn.q_proj.weight"] = f.tensors[q]
			delete(f.tensors, q)
		}, []string{"missing", q, "model.layers.2.self_attn.q_proj.weight"}},
		{"another shape", model.Llama, func(f *folder) { x := f.tensors[q]; x.Shape = []int{64, 16}; f.tensors[q] = x }, []string{q, "[64 16]", "[32 32]"}},
		{"no weights", model.Llama, func(f *folder) { f.tensors = nil }, []string{"model.safetensors", "pytorch_model.bin"}},
		{"path in the index", model.Llama, func(f *folder) { split(f); f.shards[q], f.drop = "../a.safetensors", q }, []string{q, "../a.safetensors"}},
		{"tensor that its shard lacks", model.Llama, func(f *folder) { split(f); f.drop = q }, []string{"a.safetensors lacks", q}},
		{"shard that is not there", model.Llama, func(f *folder) { split(f); f.shards[q], f.drop = "b.safetensors", q }, []string{"b.safetensors"}},
		{"tensor that the index does not place", model.Llama, func(f *folder) {
			split(f)
			f.tensors["model.bias"] = adapter.Tensor{Shape: []int{1}, Data: []float32{1}}
		}, []string{"a.safetensors has tensor model.bias", "model.safetensors.index.json"}},
	} {
		f := newFolder(t, model.RandomBase(configOf(test.family), 1))
		test.change(f)
		_, err := model.ReadFolder(f.write(t))
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q does not tell %q", test.name, err, part)
			}
		}
	}
	if _, err := model.ReadFolder(t.TempDir()); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

// FuzzConfig: no config.json panics, and a valid one comes back.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"model_type":"llama"}`, `{"model_type":"llama","rope_parameters":{"rope_theta":5e5},"hidden_size":8e0,"num_attention_heads":2}`,
		`{"n_layer":1,"n_embd":8,"n_head":2,"vocab_size":9,"n_ctx":4}`, `{"model_type":7,"architectures":{}}`,
	} {
		f.Add([]byte(s))
	}
	for _, family := range []model.Family{model.GPT2, model.Llama} {
		raw, err := json.Marshal(configOf(family))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var c, again model.Config
		if json.Unmarshal(raw, &c) != nil || c.Validate() != nil {
			return
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &again); err != nil || again != c {
			t.Fatalf("%s: came back as %+v, want %+v: %v", written, again, c, err)
		}
	})
}
