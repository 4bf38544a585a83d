package model_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

var words = []string{"a man walks", "a man falls", "a dog walks", "nobody is here", "a man sits down", "two people walk", "the dog falls", "a child sits"}

// eachFamily runs a test for every architecture of bases.
func eachFamily(t *testing.T, test func(t *testing.T, family model.Family)) {
	for _, family := range []model.Family{model.GPT2, model.Llama} {
		t.Run(family.String(), func(t *testing.T) { test(t, family) })
	}
}

// configOf is a small architecture of a family.
func configOf(family model.Family) model.Config {
	cfg := model.Config{Family: family, Layers: 2, Dim: 32, Heads: 4, Vocab: 300, Positions: 40, Eps: 1e-5}
	if family == model.Llama {
		cfg.KVHeads, cfg.Hidden, cfg.Untied = 2, 48, true
	}
	return cfg.WithDefaults()
}

// tiny is a small pretrained base.
func tiny(t testing.TB, steps int) *model.Base { return tinyOf(t, model.GPT2, steps) }

func tinyOf(t testing.TB, family model.Family, steps int) *model.Base {
	t.Helper()
	tok, err := model.TrainTokenizer(words, 300)
	if err != nil {
		t.Fatal(err)
	}
	cfg := configOf(family)
	cfg.Vocab = tok.Size()
	base, err := model.Pretrain(context.Background(), cfg, tok, words, model.PretrainOptions{Steps: steps, Batch: 8, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return base
}

func spec() model.Spec {
	return model.Spec{
		Modalities: []model.Modality{
			{Name: "camera", Kind: model.Image, Shape: []int{1, 8, 8}},
			{Name: "motion", Kind: model.Series, Shape: []int{3, 16}},
			{Name: "note", Kind: model.Text, Shape: []int{12}},
		},
		Width: 4, Projection: 8, Fused: 16, Prompt: 4, Rank: 4, Alpha: 8,
	}
}

func newModel(t testing.TB, base *model.Base, s model.Spec) *model.Model {
	t.Helper()
	m, err := model.New(base, s, 11)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// rows is a batch with random inputs, a text prompt of varying length, and the words as targets.
func rows(base *model.Base, s model.Spec, n int) model.Batch {
	r := rand.New(rand.NewPCG(uint64(n), 9))
	b := model.Batch{Inputs: make(map[string][][]float32)}
	vector := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	for i := range n {
		for _, m := range s.Modalities {
			b.Inputs[m.Name] = append(b.Inputs[m.Name], vector(m.Size()))
		}
		b.Text = append(b.Text, base.Tokenizer.Encode(words[(i+3)%len(words)])[:1+i%2])
		b.Target = append(b.Target, append(base.Tokenizer.Encode(words[i%len(words)]), base.Tokenizer.End()))
		b.Anchor = append(b.Anchor, vector(16))
		b.Labels = append(b.Labels, i%5-1)
	}
	return b
}

// soft makes every row its own teacher's answer.
func soft(b model.Batch, k int) []model.SoftTarget {
	var all []model.SoftTarget
	for _, ids := range b.Target {
		s := model.SoftTarget{IDs: ids}
		for _, id := range ids {
			s.TopIDs = append(s.TopIDs, []int{id, (id + 1) % 200})
			s.TopLog = append(s.TopLog, []float32{-0.3, -2})
		}
		all = append(all, s)
	}
	return all
}

func everything(kind string) model.Objective {
	return model.Objective{LM: 1, Soft: 0.5, Contrast: 2, Kind: kind, LR: 3e-3, Decay: 0.01, Clip: 1}
}

func TestLearnsEightRowsByHeart(t *testing.T) { eachFamily(t, testLearnsEightRowsByHeart) }

func testLearnsEightRowsByHeart(t *testing.T, family model.Family) {
	base, s := tinyOf(t, family, 300), spec() // what the frozen backbone cannot do at all, LoRA cannot tune
	m := newModel(t, base, s)
	b := rows(base, s, 8)
	b.Text = nil
	var loss model.Loss
	for step := range 100 {
		var err error
		loss, err = m.Step(b, model.Objective{LM: 1, LR: 5e-3, Clip: 1}, uint64(step))
		if err != nil {
			t.Fatal(err)
		}
	}
	if loss.LM > 0.1 {
		t.Fatalf("loss %v after 100 steps on the same 8 rows", loss.LM)
	}
	answers, err := m.Generate(b, 20)
	if err != nil {
		t.Fatal(err)
	}
	for i, ids := range answers {
		if got := base.Tokenizer.Decode(ids); got != words[i] {
			t.Errorf("row %d: wrote %q, want %q", i, got, words[i])
		}
	}
}

// bits trains for some steps with every loss and gives the components' bytes.
func bits(t *testing.T, m *model.Model, b model.Batch, kind string, from, to int) []byte {
	t.Helper()
	for step := from; step < to; step++ {
		if _, err := m.Step(b, everything(kind), uint64(step)); err != nil {
			t.Fatal(err)
		}
	}
	return state(t, m)
}

func state(t *testing.T, m *model.Model) []byte {
	t.Helper()
	var w bytes.Buffer
	if err := m.WriteState(&w); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

func TestSameBitsForEveryGOMAXPROCS(t *testing.T) { eachFamily(t, testSameBitsForEveryGOMAXPROCS) }

func testSameBitsForEveryGOMAXPROCS(t *testing.T, family model.Family) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first []byte
	for _, procs := range []int{1, 2, 3} {
		runtime.GOMAXPROCS(procs)
		base, s := tinyOf(t, family, 5), spec()
		s.Dropout, s.LoRADrop = 0.1, 0.05
		b := rows(base, s, 6)
		b.Soft = soft(b, 2)
		got := bits(t, newModel(t, base, s), b, model.ContrastSimilarity, 0, 3)
		if first == nil {
			first = got
		}
		if !bytes.Equal(got, first) {
			t.Fatalf("other bits with GOMAXPROCS %d", procs)
		}
	}
}

// TestModelsAreIndependent builds and trains models side by side, as nodes in one process do.
func TestModelsAreIndependent(t *testing.T) { eachFamily(t, testModelsAreIndependent) }

func testModelsAreIndependent(t *testing.T, family model.Family) {
	base, s := tinyOf(t, family, 5), spec()
	b := rows(base, s, 3)
	train := func() []byte {
		m, err := model.New(base, s, 11)
		if err != nil {
			t.Error(err)
			return nil
		}
		for step := range 3 {
			if _, err := m.Step(b, everything(model.ContrastGram), uint64(step)); err != nil {
				t.Error(err)
			}
			if _, err := m.Generate(b, 3); err != nil {
				t.Error(err)
			}
		}
		var w bytes.Buffer
		if err := m.WriteState(&w); err != nil {
			t.Error(err)
		}
		return w.Bytes()
	}
	want := train()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if !bytes.Equal(train(), want) {
				t.Error("a model beside others went another way")
			}
		})
	}
	group.Wait()
}

func TestStateContinuesToTheBit(t *testing.T) { eachFamily(t, testStateContinuesToTheBit) }

func testStateContinuesToTheBit(t *testing.T, family model.Family) {
	base, s := tinyOf(t, family, 5), spec()
	s.Dropout, s.LoRADrop = 0.1, 0.05
	b := rows(base, s, 6)
	b.Soft = soft(b, 2)
	m := newModel(t, base, s)
	bits(t, m, b, model.ContrastGram, 0, 3)
	saved := state(t, m)
	want := bits(t, m, b, model.ContrastGram, 3, 6)

	restored, err := model.New(base, s, 999)
	if err != nil {
		t.Fatal(err)
	}
	if err := restored.ReadState(bytes.NewReader(saved)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(state(t, restored), saved) {
		t.Fatal("what was read differs from what was written")
	}
	if !bytes.Equal(bits(t, restored, b, model.ContrastGram, 3, 6), want) {
		t.Fatal("the restored model went another way")
	}

	s.Rank = 2
	err = newModel(t, base, s).ReadState(bytes.NewReader(saved))
	if err == nil || !strings.Contains(err.Error(), "lora_A") {
		t.Fatalf("state of another rank: %v, want an error that names the tensor", err)
	}
}

func same(t *testing.T, got, want []adapter.Component, tolerance float64) {
	t.Helper()
	for i, c := range want {
		for j, x := range c.Tensors {
			for k, v := range x.Data {
				if diff := math.Abs(float64(got[i].Tensors[j].Data[k] - v)); !(diff <= tolerance) {
					t.Fatalf("%s: value %d is %v, want %v", x.Name, k, got[i].Tensors[j].Data[k], v)
				}
			}
		}
	}
}

func slice(b model.Batch, from, to int) model.Batch {
	out := model.Batch{Inputs: make(map[string][][]float32)}
	for name, x := range b.Inputs {
		out.Inputs[name] = x[from:to]
	}
	if b.Text != nil {
		out.Text = b.Text[from:to]
	}
	if b.Target != nil {
		out.Target = b.Target[from:to]
	}
	return out
}

func TestSoftTargetsTeach(t *testing.T) {
	base, s := tiny(t, 30), spec()
	teacher, student := newModel(t, base, s), newModel(t, base, s)
	b := rows(base, s, 8)
	for step := range 60 {
		if _, err := teacher.Step(b, model.Objective{LM: 1, LR: 5e-3}, uint64(step)); err != nil {
			t.Fatal(err)
		}
	}
	answers, err := teacher.Answer(b, 20, 8)
	if err != nil {
		t.Fatal(err)
	}
	b.Target, b.Soft = nil, answers
	var first, last model.Loss
	for step := range 60 {
		last, err = student.Step(b, model.Objective{Soft: 1, LR: 5e-3}, uint64(step))
		if err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			first = last
		}
	}
	if !(last.Soft < first.Soft/5) {
		t.Errorf("divergence %v after 60 steps, %v before", last.Soft, first.Soft)
	}
}

func TestContrastPullsTowardsTheAnchor(t *testing.T) {
	base, s := tiny(t, 1), spec()
	for _, kind := range []string{model.ContrastSimilarity, model.ContrastGram} {
		for _, modalities := range []int{1, 3} {
			s := s
			s.Modalities = s.Modalities[:modalities]
			m := newModel(t, base, s)
			b := rows(base, s, 8)
			b.Target = nil
			var first, last model.Loss
			for step := range 60 {
				var err error
				last, err = m.Step(b, model.Objective{Contrast: 1, Kind: kind, LR: 5e-3}, uint64(step))
				if err != nil {
					t.Fatal(err)
				}
				if step == 0 {
					first = last
				}
			}
			if !(last.Contrast < first.Contrast*0.8) {
				t.Errorf("%s, %d modalities: loss %v after 60 steps, %v before", kind, modalities, last.Contrast, first.Contrast)
			}
			for _, c := range m.Components() {
				if c.Name == "lora" {
					same(t, []adapter.Component{c}, []adapter.Component{newModel(t, base, s).Components()[0]}, 0)
				}
			}
		}
	}
}
