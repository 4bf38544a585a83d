package bench

import (
	"fmt"

	"github.com/mlecs/mlecs/learn/model"
)

// Workload is a model and the batches that it is measured with.
type Workload struct {
	Name   string
	Base   *model.Base
	Rows   int // of a batch
	Prompt int // soft prompts of a row
	Tokens int // that a row reads after them
}

// Named are the names that Load knows.
const Named = "A, B, gpt2, llama"

// Load makes the workload of a name, or that of a folder as HuggingFace publishes models. Weights are random but for a folder's.
//
//   - A: GPT-2 of width 256, 4 layers, 4 heads, vocabulary 512; batches of 8 rows with 16 soft prompts and 48 tokens
//   - B: GPT-2 of width 768, 12 layers, 12 heads, vocabulary 8192; batches of 2 such rows
//   - gpt2: GPT-2 small; llama: SmolLM 135M; and folders: batches of 2 such rows
func Load(name string) (Workload, error) {
	w := Workload{Name: name, Rows: 2, Prompt: 16, Tokens: 48}
	gpt2 := model.Config{Family: model.GPT2, Layers: 12, Dim: 768, Heads: 12, Vocab: 8192, Positions: 128, Eps: 1e-5}
	switch name {
	case "A":
		w.Rows = 8
		gpt2.Layers, gpt2.Dim, gpt2.Heads, gpt2.Vocab = 4, 256, 4, 512
		w.Base = model.RandomBase(gpt2, 1)
	case "B":
		w.Base = model.RandomBase(gpt2, 1)
	case "gpt2":
		gpt2.Vocab, gpt2.Positions = 50257, 1024
		w.Base = model.RandomBase(gpt2, 1)
	case "llama":
		w.Base = model.RandomBase(model.Config{
			Family: model.Llama, Layers: 30, Dim: 576, Heads: 9, KVHeads: 3, Hidden: 1536, Vocab: 49152, Positions: 2048, Eps: 1e-5,
		}, 1)
	default:
		base, err := model.ReadFolder(name)
		if err != nil {
			return Workload{}, fmt.Errorf("%q is none of %s, nor a model's folder: %w", name, Named, err)
		}
		if positions := base.Config.Positions; positions < w.Prompt+w.Tokens {
			return Workload{}, fmt.Errorf("%s has %d positions; the measurement needs %d", name, positions, w.Prompt+w.Tokens)
		}
		w.Base = base
	}
	return w, nil
}

// features is the width of the one input: a vector, so that the backbone is what is measured.
const features = 64

// model builds the model with LoRA of rank 8 on the maps of queries, keys and values, and no dropout.
func (w Workload) model() (*model.Model, error) {
	targets := []string{"attn.c_attn"}
	if w.Base.Config.Family == model.Llama {
		targets = []string{"q_proj", "v_proj"}
	}
	return model.New(w.Base, model.Spec{
		Modalities: []model.Modality{{Name: "input", Kind: model.Text, Shape: []int{features}}},
		Prompt:     w.Prompt, Rank: 8, Targets: targets,
	}, 1)
}

// batch gives rows with inputs, and targets of one token more than is read.
func (w Workload) batch(rows int) model.Batch {
	b := model.Batch{Inputs: map[string][][]float32{}}
	for i := range rows {
		x := make([]float32, features)
		for j := range x {
			x[j] = float32((i*31+j*17)%101)/50 - 1
		}
		ids := make([]int, w.Tokens+1)
		for j := range ids {
			ids[j] = (i*37 + j*11 + 1) % w.Base.Config.Vocab
		}
		b.Inputs["input"] = append(b.Inputs["input"], x)
		b.Target = append(b.Target, ids)
	}
	return b
}
