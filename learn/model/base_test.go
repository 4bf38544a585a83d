package model_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

func write(t testing.TB, b *model.Base) []byte {
	t.Helper()
	var w bytes.Buffer
	if err := b.Write(&w); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

func TestBaseIsOneFile(t *testing.T) { eachFamily(t, testBaseIsOneFile) }

func testBaseIsOneFile(t *testing.T, family model.Family) {
	base := tinyOf(t, family, 1)
	raw := write(t, base)
	read, err := model.ReadBase(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(write(t, read), raw) {
		t.Error("a base read back is written otherwise")
	}
	if read.Config != base.Config || read.Digest() != base.Digest() || read.Params() != base.Params() {
		t.Errorf("config %+v, want %+v; digest %s, want %s", read.Config, base.Config, read.Digest(), base.Digest())
	}
	if text := "a man walks"; !slices.Equal(read.Tokenizer.Encode(text), base.Tokenizer.Encode(text)) {
		t.Error("the tokenizer differs")
	}
	if _, err := model.ReadBase(bytes.NewReader(raw), int64(len(raw)-1)); err == nil {
		t.Error("a base over the limit was read")
	}
}

// TestConfigsOfBaseFiles: what earlier files hold in their metadata is read, and written in the same way.
func TestConfigsOfBaseFiles(t *testing.T) {
	llama := configOf(model.Llama)
	llama.Theta = 5e5
	for text, want := range map[string]model.Config{
		`{"n_layer":2,"n_embd":32,"n_head":4,"vocab_size":300,"n_positions":40,"layer_norm_epsilon":0.00001}`: configOf(model.GPT2),
		`{"model_type":"llama","num_hidden_layers":2,"hidden_size":32,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":8,"intermediate_size":48,` +
			`"vocab_size":300,"max_position_embeddings":40,"rms_norm_eps":0.00001,"rope_theta":500000,"tie_word_embeddings":false}`: llama,
	} {
		var got model.Config
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%+v, want %+v: %v", got, want, err)
		}
		if written, err := json.Marshal(want); err != nil || string(written) != text {
			t.Errorf("written as %s, want %s: %v", written, text, err)
		}
	}
}

func TestPretrainRepeatsItself(t *testing.T) { eachFamily(t, testPretrainRepeatsItself) }

func testPretrainRepeatsItself(t *testing.T, family model.Family) {
	if !bytes.Equal(write(t, tinyOf(t, family, 3)), write(t, tinyOf(t, family, 3))) {
		t.Error("equal arguments give other bytes")
	}
}

func TestBadBases(t *testing.T) {
	const attn = "transformer.h.1.attn.c_attn.weight"
	change := func(b *model.Base, name string, f func(x *adapter.Tensor)) {
		x := b.Tensors[name]
		x.Data = slices.Clone(x.Data)
		f(&x)
		b.Tensors[name] = x
	}
	for _, test := range []struct {
		name   string
		change func(b *model.Base)
		want   []string // parts of the error
	}{
		{"missing tensor", func(b *model.Base) { delete(b.Tensors, attn) }, []string{attn, "[32 96]", "missing"}},
		{"transposed tensor", func(b *model.Base) { change(b, attn, func(x *adapter.Tensor) { x.Shape = []int{96, 32} }) }, []string{attn, "[96 32]", "[32 96]"}},
		{"short data", func(b *model.Base) { change(b, attn, func(x *adapter.Tensor) { x.Data = x.Data[1:] }) }, []string{attn, "3071"}},
		{"NaN", func(b *model.Base) { change(b, attn, func(x *adapter.Tensor) { x.Data[5] = float32(math.NaN()) }) }, []string{attn, "value 5"}},
		{"tensor too many", func(b *model.Base) { b.Tensors["lm_head.weight"] = adapter.Tensor{Name: "lm_head.weight"} }, []string{"lm_head.weight"}},
		{"heads", func(b *model.Base) { b.Config.Heads = 5 }, []string{"n_embd 32", "n_head 5"}},
		{"no layers", func(b *model.Base) { b.Config.Layers = 0 }, []string{"n_layer is 0"}},
		{"huge", func(b *model.Base) { b.Config.Dim = 1 << 40 }, []string{"n_embd"}},
		{"epsilon", func(b *model.Base) { b.Config.Eps = math.NaN() }, []string{"layer_norm_epsilon"}},
	} {
		base := tiny(t, 1)
		test.change(base)
		_, err := model.New(base, spec(), 1)
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q does not tell %q", test.name, err, part)
			}
		}
		if err := base.Write(new(bytes.Buffer)); err == nil {
			t.Errorf("%s: written without an error", test.name)
		}
	}
}

func TestBadSpecs(t *testing.T) {
	base := tiny(t, 1)
	for _, test := range []struct {
		name   string
		change func(s *model.Spec)
		want   string
	}{
		{"no modalities", func(s *model.Spec) { s.Modalities = nil }, "no modalities"},
		{"twice", func(s *model.Spec) { s.Modalities[1].Name = "camera" }, "twice"},
		{"name", func(s *model.Spec) { s.Modalities[1].Name = "a/b" }, `"a/b"`},
		{"kind", func(s *model.Spec) { s.Modalities[1].Kind = "smell" }, `"smell"`},
		{"dimensions", func(s *model.Spec) { s.Modalities[0].Shape = []int{8, 8} }, "want 3 dimensions"},
		{"zero dimension", func(s *model.Spec) { s.Modalities[0].Shape = []int{1, 0, 8} }, "[1 0 8]"},
		{"overflow", func(s *model.Spec) { s.Modalities[0].Shape = []int{1 << 30, 1 << 30, 1 << 30} }, "camera"},
		{"target", func(s *model.Spec) { s.Targets = []string{"w_proj"} }, `"w_proj"`},
		{"dropout", func(s *model.Spec) { s.Dropout = 1 }, "dropout"},
		{"rank", func(s *model.Spec) { s.Rank = -1 }, "rank"},
		{"prompt", func(s *model.Spec) { s.Prompt = 40 }, "40 soft prompts"},
	} {
		s := spec()
		test.change(&s)
		if _, err := model.New(base, s, 1); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
}

func TestBadPretraining(t *testing.T) {
	tok, err := model.TrainTokenizer(words, 300)
	if err != nil {
		t.Fatal(err)
	}
	good := model.Config{Layers: 1, Dim: 8, Heads: 2, Vocab: tok.Size(), Positions: 16, Eps: 1e-5}
	small := good
	small.Vocab = 100
	for _, test := range []struct {
		name  string
		cfg   model.Config
		texts []string
		opt   model.PretrainOptions
	}{
		{"no texts", good, nil, model.PretrainOptions{}},
		{"empty texts", good, []string{"", ""}, model.PretrainOptions{}},
		{"small vocabulary", small, words, model.PretrainOptions{}},
		{"no config", model.Config{}, words, model.PretrainOptions{}},
		{"negative steps", good, words, model.PretrainOptions{Steps: -1}},
	} {
		if _, err := model.Pretrain(context.Background(), test.cfg, tok, test.texts, test.opt); err == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
	// Texts longer than the positions are cut.
	if _, err := model.Pretrain(context.Background(), good, tok, []string{strings.Repeat("a man walks ", 50)}, model.PretrainOptions{Steps: 2, Batch: 2}); err != nil {
		t.Error(err)
	}
}

// FuzzReadBase: whatever bytes come, ReadBase does not panic, and what it accepts is valid and is written back alike.
func FuzzReadBase(f *testing.F) {
	tok, err := model.TrainTokenizer([]string{"ab"}, 258)
	if err != nil {
		f.Fatal(err)
	}
	base := model.RandomBase(model.Config{Layers: 1, Dim: 2, Heads: 1, Vocab: tok.Size(), Positions: 2, Eps: 1e-5}, 1)
	base.Tokenizer = tok
	raw := write(f, base)
	f.Add(raw)
	f.Add(raw[:len(raw)-4])
	f.Add(bytes.Replace(raw, []byte(`n_layer\":1`), []byte(`n_layer\":2`), 1))
	f.Add(bytes.Replace(raw, []byte("c_attn"), []byte("c_attm"), 1))
	llama := model.Config{Family: model.Llama, Layers: 1, Dim: 4, Heads: 2, KVHeads: 1, Hidden: 3, Vocab: tok.Size(), Positions: 2, Eps: 1e-5}
	base = model.RandomBase(llama, 1)
	base.Tokenizer = tok
	raw = write(f, base)
	f.Add(raw)
	f.Add(bytes.Replace(raw, []byte(`num_key_value_heads\":1`), []byte(`num_key_value_heads\":2`), 1))
	var tensors bytes.Buffer
	if err := adapter.WriteTensors(&tensors, nil, map[string]string{"format": "mlecs-base-1", "config": "{}", "tokenizer": "{}"}); err != nil {
		f.Fatal(err)
	}
	f.Add(tensors.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := model.ReadBase(bytes.NewReader(raw), 1<<20)
		if err != nil {
			return
		}
		if err := b.Validate(); err != nil {
			t.Fatal(err)
		}
		again, err := model.ReadBase(bytes.NewReader(write(t, b)), 1<<21)
		if err != nil {
			t.Fatal(err)
		}
		if again.Digest() != b.Digest() {
			t.Fatal("written back otherwise")
		}
		if _, err := json.Marshal(b.Config); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzReadState: whatever bytes come, ReadState does not panic, and an error leaves the model as it was.
func FuzzReadState(f *testing.F) {
	base := model.RandomBase(model.Config{Layers: 1, Dim: 4, Heads: 1, Vocab: 7, Positions: 8, Eps: 1e-5}, 1)
	s := model.Spec{Modalities: []model.Modality{{Name: "x", Kind: model.Text, Shape: []int{2}}}, Width: 1, Projection: 2, Fused: 2, Prompt: 1, Rank: 1}
	m, err := model.New(base, s, 1)
	if err != nil {
		f.Fatal(err)
	}
	var w bytes.Buffer
	if err := m.WriteState(&w); err != nil {
		f.Fatal(err)
	}
	f.Add(w.Bytes())
	f.Add(w.Bytes()[:w.Len()-3])
	f.Add(bytes.Replace(w.Bytes(), []byte("adamw.mean"), []byte("adamw.meen"), 1))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := model.New(base, s, 1)
		if err != nil {
			t.Fatal(err)
		}
		var before, after bytes.Buffer
		if err := m.WriteState(&before); err != nil {
			t.Fatal(err)
		}
		if m.ReadState(bytes.NewReader(raw)) == nil {
			return
		}
		if err := m.WriteState(&after); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before.Bytes(), after.Bytes()) {
			t.Fatal("an error changed the model")
		}
	})
}
