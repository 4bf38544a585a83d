package adapter_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
)

// The reference folders are what HuggingFace loads: reading and writing one gives the same, and merging gives its merged weights.
func TestReferencePEFT(t *testing.T) {
	for _, name := range []string{"gpt2-tiny", "llama-tiny"} {
		t.Run(name, func(t *testing.T) {
			dir := reference(t, name)
			config := readFile(t, filepath.Join(dir, "adapter", adapter.PEFTConfigFile))
			weights := readFile(t, filepath.Join(dir, "adapter", adapter.PEFTModelFile))
			p, err := adapter.ReadPEFT(bytes.NewReader(config), bytes.NewReader(weights), int64(len(weights)))
			if err != nil {
				t.Fatal(err)
			}
			var gotConfig, gotWeights bytes.Buffer
			if err := p.Write(&gotConfig, &gotWeights); err != nil {
				t.Fatal(err)
			}
			if got, want := decodeJSON(t, gotConfig.Bytes()), decodeJSON(t, config); !reflect.DeepEqual(got, want) {
				t.Errorf("config\n%v\nwant\n%v", got, want)
			}
			again, _, err := adapter.ReadTensors(&gotWeights, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if err := sameTensors(again, readTensors(t, filepath.Join(dir, "adapter", adapter.PEFTModelFile))); err != nil {
				t.Error(err)
			}
			made, err := adapter.NewPEFT(p.Component("s"), p.Base, p.Alpha, p.Dropout)
			if err != nil {
				t.Fatal(err)
			}
			if made.Rank != p.Rank || made.FanInFanOut != p.FanInFanOut {
				t.Errorf("made from the tensors: %+v", made)
			}

			base := map[string]adapter.Tensor{}
			for _, x := range readTensors(t, filepath.Join(dir, "model.safetensors")) {
				base[x.Name] = x
			}
			merged := map[string]adapter.Tensor{}
			for _, q := range []*adapter.PEFT{p, made} {
				all, err := q.Merge(func(name string) (adapter.Tensor, bool) { x, ok := base[name]; return x, ok })
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range all {
					merged[x.Name] = x
				}
			}
			compared := 0
			for _, want := range readTensors(t, filepath.Join(dir, "io.safetensors")) {
				name, ok := strings.CutPrefix(want.Name, "merged.")
				if !ok {
					continue
				}
				got := merged[name]
				if fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape) {
					t.Fatalf("%s: shape %v, want %v", name, got.Shape, want.Shape)
				}
				compared++
				for i, v := range want.Data {
					if math.Abs(float64(got.Data[i]-v)) > 1e-6 {
						t.Fatalf("%s: value %d is %v, want %v", name, i, got.Data[i], v)
					}
				}
			}
			if compared == 0 {
				t.Error("the reference has no merged weights")
			}
		})
	}
}

func decodeJSON(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// gpt is LoRA of one Conv1D with 3 inputs and 2 outputs, in two layers.
func gpt() adapter.Component {
	var ts []adapter.Tensor
	for _, layer := range []string{"0", "1"} {
		module := "base_model.model.transformer.h." + layer + ".attn.c_attn"
		ts = append(ts,
			adapter.Tensor{Name: module + ".lora_A.weight", Shape: []int{1, 3}, Data: []float32{1, 2, 3}},
			adapter.Tensor{Name: module + ".lora_B.weight", Shape: []int{2, 1}, Data: []float32{1, 10}})
	}
	return adapter.Component{Name: "lora", Signature: "s", Tensors: ts}
}

func TestNewPEFT(t *testing.T) {
	p, err := adapter.NewPEFT(gpt(), "small", 2, 0.05)
	if err != nil {
		t.Fatal(err)
	}
	if p.Rank != 1 || !p.FanInFanOut || fmt.Sprint(p.Targets) != "[attn.c_attn]" {
		t.Errorf("made %+v", p)
	}
	merged, err := p.Merge(func(string) (adapter.Tensor, bool) {
		return adapter.Tensor{Shape: []int{3, 2}, Data: []float32{100, 0, 0, 0, 0, 0}}, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := merged[1]; got.Name != "transformer.h.1.attn.c_attn.weight" || fmt.Sprint(got.Data) != "[102 20 4 40 6 60]" {
		t.Errorf("merged %+v", got)
	}
	other := gpt()
	for i := range other.Tensors {
		other.Tensors[i].Name = strings.Replace(other.Tensors[i].Name, "attn.c_attn", "self_attn.q_proj", 1)
	}
	if p, err = adapter.NewPEFT(other, "", 2, 0); err != nil || p.FanInFanOut || fmt.Sprint(p.Targets) != "[self_attn.q_proj]" {
		t.Errorf("made %+v, %v", p, err)
	}
	if c := p.Component("s"); adapter.SameStructure(other, c) != nil {
		t.Errorf("component %+v", c)
	}
}

func TestNewPEFTRefuses(t *testing.T) {
	plain := gpt()
	for i, end := range []string{".lora_A.weight", ".lora_B.weight"} {
		plain.Tensors[i].Name = "c_attn" + end
	}
	for want, c := range map[string]adapter.Component{
		`component "lora": tensor "a" is neither`: lora(1),
		"there are no tensors":                    {Name: "lora", Signature: "s"},
		"begins with base_model.model.":           {Name: "lora", Signature: "s", Tensors: plain.Tensors[:2]},
	} {
		if _, err := adapter.NewPEFT(c, "", 2, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	p, err := adapter.NewPEFT(gpt(), "", 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	for want, base := range map[string]func(string) (adapter.Tensor, bool){
		`no weight "transformer.h.0.attn.c_attn.weight"`: func(string) (adapter.Tensor, bool) { return adapter.Tensor{}, false },
		"has shape [2 3], the adapter wants [3 2]": func(string) (adapter.Tensor, bool) {
			return adapter.Tensor{Shape: []int{2, 3}, Data: make([]float32, 6)}, true
		},
	} {
		if _, err := p.Merge(base); !errors.Is(err, adapter.ErrStructure) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// encodePEFT gives the two files of an adapter.
func encodePEFT(t testing.TB, c adapter.Component) (config, weights []byte) {
	t.Helper()
	p, err := adapter.NewPEFT(c, "small", 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := p.Write(&a, &b); err != nil {
		t.Fatal(err)
	}
	return a.Bytes(), b.Bytes()
}

func TestReadPEFTRefuses(t *testing.T) {
	config, weights := encodePEFT(t, gpt())
	set := func(option, value string) []byte {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(config, &all); err != nil {
			t.Fatal(err)
		}
		if all[option] = json.RawMessage(value); value == "" {
			delete(all, option)
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		config []byte
		want   string
	}{
		"no JSON":           {[]byte("r: 4"), "no JSON object"},
		"no rank":           {set("r", ""), `option "r" is missing`},
		"a rank of words":   {set("r", `"four"`), `option "r"`},
		"rank and tensors":  {set("r", "2"), `lora_A.weight" is of rank 1, r is 2`},
		"no alpha":          {set("lora_alpha", "0"), "lora_alpha 0"},
		"another method":    {set("peft_type", `"IA3"`), `peft_type is "IA3"`},
		"DoRA":              {set("use_dora", "true"), `option "use_dora" is true`},
		"rsLoRA":            {set("use_rslora", "true"), `option "use_rslora"`},
		"a later variant":   {set("velora_config", `{"rank":1}`), `option "velora_config"`},
		"a later switch":    {set("use_something", "true"), `option "use_something" is true`},
		"biases":            {set("bias", `"all"`), `option "bias"`},
		"ranks by pattern":  {set("rank_pattern", `{"c_attn":8}`), `option "rank_pattern" is {"c_attn":8}`},
		"saved modules":     {set("modules_to_save", `["lm_head"]`), `option "modules_to_save"`},
		"PiSSA":             {set("init_lora_weights", `"pissa"`), `option "init_lora_weights" is "pissa"`},
		"a pattern":         {set("target_modules", `".*attn"`), "list the modules"},
		"an unused target":  {set("target_modules", `["c_attn","c_fc"]`), `target_modules names "c_fc"`},
		"an unknown module": {set("target_modules", `["c_fc"]`), `module "transformer.h.0.attn.c_attn" has an update`},
		"half a name":       {set("target_modules", `["attn"]`), "does not name it"},
		"very long":         {append(bytes.Repeat([]byte(" "), 1<<20), config...), "more than"},
	} {
		_, err := adapter.ReadPEFT(bytes.NewReader(c.config), bytes.NewReader(weights), 1<<20)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	for option, value := range map[string]string{
		"megatron_core": `"megatron.core"`, "peft_version": `"0.17.1"`, "eva_config": `{"rho":2}`, "loftq_config": "{}", "corda_config": "null",
		"use_qalora": "false", "qalora_group_size": "16", "revision": `"main"`, "init_lora_weights": `"gaussian"`, "lora_alpha": "2.0",
		"layers_to_transform": "[]", "base_model_name_or_path": "null",
	} {
		if _, err := adapter.ReadPEFT(bytes.NewReader(set(option, value)), bytes.NewReader(weights), 1<<20); err != nil {
			t.Errorf("%s %s changes nothing, and is refused: %v", option, value, err)
		}
	}
	alone := gpt()
	alone.Tensors[0].Name = "transformer.h.0.attn.c_attn.lora_A.weight"
	for name, c := range map[string]struct {
		tensors []adapter.Tensor
		want    string
	}{
		"half a pair":     {gpt().Tensors[:3], `"base_model.model.transformer.h.1.attn.c_attn.lora_A.weight" has no lora_B`},
		"another tensor":  {append(gpt().Tensors, adapter.Tensor{Name: "base_model.model.lm_head.weight", Shape: []int{0}}), "lm_head.weight"},
		"nothing":         {nil, "no tensors"},
		"no PEFT name":    {alone.Tensors[:1], "has no lora_B"},
		"not of a module": {[]adapter.Tensor{{Name: "c_attn.lora_A.weight", Shape: []int{1, 1}, Data: []float32{1}}, {Name: "c_attn.lora_B.weight", Shape: []int{1, 1}, Data: []float32{1}}}, "begins with base_model.model."},
	} {
		var file bytes.Buffer
		if err := adapter.WriteTensors(&file, c.tensors, nil); err != nil {
			t.Fatal(err)
		}
		_, err := adapter.ReadPEFT(bytes.NewReader(config), &file, 1<<20)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// FuzzReadPEFT: no input panics, and what is read is written and read again.
func FuzzReadPEFT(f *testing.F) {
	config, weights := encodePEFT(f, gpt())
	f.Add(config, weights)
	f.Add([]byte(`{"peft_type":"LORA","r":1e9,"lora_alpha":1,"target_modules":["c_attn"]}`), weights)
	f.Add([]byte(`{"peft_type":"LORA","r":1,"lora_alpha":1,"target_modules":["c_attn",""],"bias":[]}`), weights)
	f.Fuzz(func(t *testing.T, config, weights []byte) {
		p, err := adapter.ReadPEFT(bytes.NewReader(config), bytes.NewReader(weights), 1<<20)
		if err != nil {
			return
		}
		var a, b bytes.Buffer
		if err := p.Write(&a, &b); err != nil {
			t.Fatal(err)
		}
		again, err := adapter.ReadPEFT(&a, &b, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := sameTensors(again.Tensors, p.Tensors); err != nil {
			t.Fatal(err)
		}
	})
}
