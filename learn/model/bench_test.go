package model_test

import (
	"fmt"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

// workload is what a model of the benchmarks sees and is asked for, in batches of 16.
type workload struct {
	name         string
	modalities   []model.Modality
	text, target int // tokens; targets have one to this many
}

var (
	// motion is the longest of the three. digits and falls have the shapes of two small real data sets.
	motion = workload{"motion", []model.Modality{
		{Name: "camera", Kind: model.Image, Shape: []int{3, 32, 32}}, {Name: "motion", Kind: model.Series, Shape: []int{6, 64}},
	}, 8, 9}
	digits = workload{"digits", []model.Modality{
		{Name: "audio", Kind: model.Audio, Shape: []int{1, 40, 32}}, {Name: "image", Kind: model.Image, Shape: []int{1, 32, 32}},
	}, 0, 3}
	falls = workload{"falls", []model.Modality{
		{Name: "depth", Kind: model.Series, Shape: []int{16, 64}}, {Name: "image", Kind: model.Image, Shape: []int{3, 32, 32}},
		{Name: "sensor", Kind: model.Series, Shape: []int{8, 64}},
	}, 0, 8}
)

// BenchmarkStep is one training step.
func BenchmarkStep(b *testing.B) {
	for _, size := range []struct {
		workload
		family      model.Family
		dim, layers int
	}{
		{motion, model.GPT2, 64, 2}, {motion, model.Llama, 64, 2}, {digits, model.GPT2, 64, 2}, {digits, model.Llama, 64, 2},
		{falls, model.GPT2, 64, 2}, {falls, model.Llama, 64, 2}, {motion, model.GPT2, 128, 4}, {motion, model.Llama, 128, 4},
	} {
		b.Run(fmt.Sprintf("%s,%v,dim=%d,layers=%d", size.name, size.family, size.dim, size.layers), func(b *testing.B) {
			m, batch := size.model(b, size.family, size.dim, size.layers)
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
	m, batch := motion.model(b, model.GPT2, 64, 2)
	batch.Target = nil
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Generate(batch, 12); err != nil {
			b.Fatal(err)
		}
	}
}

func (w workload) model(b testing.TB, family model.Family, dim, layers int) (*model.Model, model.Batch) {
	return w.on(b, model.RandomBase(model.Config{Family: family, Layers: layers, Dim: dim, Heads: 4, Vocab: 512, Positions: 64, Eps: 1e-5}, 5))
}

func (w workload) on(b testing.TB, base *model.Base) (*model.Model, model.Batch) {
	s := model.Spec{Modalities: w.modalities, Dropout: 0.1, LoRADrop: 0.05}
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
		ids := make([]int, w.text+w.target)
		for j := range ids {
			ids[j] = (i*37 + j*11) % 512
		}
		batch.Text = append(batch.Text, ids[:w.text])
		batch.Target = append(batch.Target, ids[w.text:][:1+i*(w.target-1)/15])
	}
	return m, batch
}
