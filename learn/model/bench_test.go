package model_test

import (
	"fmt"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

// BenchmarkStep is one training step: batch 16, an image of 3x32x32 and a series of 6x64, 8 soft prompts, 8 text and 8 target
// tokens.
func BenchmarkStep(b *testing.B) {
	for _, size := range []struct {
		family      model.Family
		dim, layers int
	}{{model.GPT2, 64, 2}, {model.GPT2, 128, 4}, {model.Llama, 64, 2}, {model.Llama, 128, 4}} {
		b.Run(fmt.Sprintf("%v,dim=%d,layers=%d", size.family, size.dim, size.layers), func(b *testing.B) {
			m, batch := benchModel(b, size.family, size.dim, size.layers)
			o := model.Objective{LM: 1, LR: 1e-3, Clip: 1}
			step := func(i int) {
				if _, err := m.Step(batch, o, uint64(i)); err != nil {
					b.Fatal(err)
				}
			}
			step(0)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				step(i)
			}
		})
	}
}

// BenchmarkGenerate decodes 12 tokens for 32 rows.
func BenchmarkGenerate(b *testing.B) {
	m, batch := benchModel(b, model.GPT2, 64, 2)
	batch.Target = nil
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Generate(batch, 12); err != nil {
			b.Fatal(err)
		}
	}
}

func benchModel(b *testing.B, family model.Family, dim, layers int) (*model.Model, model.Batch) {
	base := model.RandomBase(model.Config{Family: family, Layers: layers, Dim: dim, Heads: 4, Vocab: 512, Positions: 64, Eps: 1e-5}, 5)
	s := model.Spec{
		Modalities: []model.Modality{{Name: "camera", Kind: model.Image, Shape: []int{3, 32, 32}}, {Name: "motion", Kind: model.Series, Shape: []int{6, 64}}},
		Dropout:    0.1, LoRADrop: 0.05,
	}
	m, err := model.New(base, s, 1)
	if err != nil {
		b.Fatal(err)
	}
	batch := model.Batch{Inputs: make(map[string][][]float32)}
	for i := range 16 {
		for _, mod := range s.Modalities {
			x := make([]float32, mod.Size())
			for j := range x {
				x[j] = float32((i*31+j*17)%101)/50 - 1
			}
			batch.Inputs[mod.Name] = append(batch.Inputs[mod.Name], x)
		}
		ids := make([]int, 9)
		for j := range ids {
			ids[j] = (i*37 + j*11) % 512
		}
		batch.Text, batch.Target = append(batch.Text, ids[:8]), append(batch.Target, ids)
	}
	return m, batch
}
