package model_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

var words = []string{"a man walks", "a man falls", "a dog walks", "nobody is here", "a man sits down", "two people walk", "the dog falls", "a child sits"}

// tiny is a small pretrained base.
func tiny(t testing.TB, steps int) *model.Base {
	t.Helper()
	tok, err := model.TrainTokenizer(words, 300)
	if err != nil {
		t.Fatal(err)
	}
	cfg := model.Config{Layers: 2, Dim: 32, Heads: 4, Vocab: tok.Size(), Positions: 40, Eps: 1e-5}
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

func TestLearnsEightRowsByHeart(t *testing.T) {
	base, s := tiny(t, 300), spec() // what the frozen backbone cannot do at all, LoRA cannot tune
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

func TestSameBitsForEveryGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first []byte
	for _, procs := range []int{1, 2, 3} {
		runtime.GOMAXPROCS(procs)
		base, s := tiny(t, 5), spec()
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
func TestModelsAreIndependent(t *testing.T) {
	base, s := tiny(t, 5), spec()
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

func TestStateContinuesToTheBit(t *testing.T) {
	base, s := tiny(t, 5), spec()
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

func TestComponents(t *testing.T) {
	base, s := tiny(t, 1), spec()
	m := newModel(t, base, s)
	var names []string
	for _, c := range m.Components() {
		names = append(names, c.Name)
		if c.Signature == "" || len(c.Tensors) == 0 {
			t.Errorf("component %s is empty", c.Name)
		}
	}
	want := []string{"lora", "encoder/camera", "encoder/motion", "encoder/note", "connector/camera+motion+note"}
	if !slices.Equal(names, want) {
		t.Fatalf("components %v, want %v", names, want)
	}
	lora := m.Components()[0]
	if name := "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"; lora.Tensors[0].Name != name {
		t.Errorf("first tensor %s, want %s as PEFT names it", lora.Tensors[0].Name, name)
	}

	lora.Tensors[0].Data[0] = 42
	if m.Components()[0].Tensors[0].Data[0] == 42 {
		t.Error("Components hands out the model's own memory")
	}
	if err := m.SetComponent(lora); err != nil {
		t.Fatal(err)
	}
	lora.Tensors[0].Data[0] = 43
	if got := m.Components()[0].Tensors[0].Data[0]; got != 42 {
		t.Errorf("value %v after SetComponent, want 42", got)
	}

	wrong := lora.Clone()
	wrong.Tensors[1].Shape = []int{1, len(wrong.Tensors[1].Data)}
	err := m.SetComponent(wrong)
	if !errors.Is(err, adapter.ErrStructure) || !strings.Contains(err.Error(), wrong.Tensors[1].Name) {
		t.Errorf("component of another shape: %v, want an error that names the tensor", err)
	}
	nan := lora.Clone()
	nan.Tensors[0].Data[0] = float32(math.NaN())
	if err := m.SetComponent(nan); err == nil {
		t.Error("a component with NaN was taken in")
	}
	if err := m.SetComponent(adapter.Component{Name: "encoder/nose"}); !errors.Is(err, adapter.ErrStructure) {
		t.Errorf("unknown component: %v", err)
	}
}

// TestSameEncoderAtEveryNode: nodes of one seed begin with the same encoders whatever else they have, so that a first mean
// makes sense.
func TestSameEncoderAtEveryNode(t *testing.T) {
	base, s := tiny(t, 1), spec()
	all := newModel(t, base, s).Components()
	s.Modalities = s.Modalities[1:2]
	one := newModel(t, base, s).Components()
	if !slices.Equal(all[2].Tensors[0].Data, one[1].Tensors[0].Data) || all[2].Signature != one[1].Signature {
		t.Error("encoder/motion differs between a node with three modalities and a node with one")
	}
}

func TestAnswerIsATeacher(t *testing.T) {
	base, s := tiny(t, 60), spec()
	m := newModel(t, base, s)
	b := rows(base, s, 40) // more than are decoded at a time
	answers, err := m.Answer(b, 6, 5)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := m.Generate(b, 6)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		end := len(a.IDs)
		if a.IDs[end-1] == base.Tokenizer.End() {
			end--
		}
		if !slices.Equal(a.IDs[:end], ids[i]) {
			t.Fatalf("row %d: answer %v, generated %v", i, a.IDs, ids[i])
		}
		for j, top := range a.TopIDs {
			if top[0] != a.IDs[j] || len(top) != 5 || !slices.IsSortedFunc(a.TopLog[j], func(x, y float32) int { return int(math.Copysign(1, float64(y-x))) }) {
				t.Fatalf("row %d, token %d: id %d, top %v %v", i, j, a.IDs[j], top, a.TopLog[j])
			}
		}
	}
	// A model agrees with its own answers: what is left of the divergence is rounding.
	b.Soft, b.Target = answers, nil
	loss, err := m.Step(b, model.Objective{Soft: 1, LR: 0}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !(math.Abs(loss.Soft) < 1e-5) {
		t.Errorf("divergence %v from its own answers", loss.Soft)
	}
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

func TestBadBatches(t *testing.T) {
	base, s := tiny(t, 1), spec()
	m := newModel(t, base, s)
	for _, test := range []struct {
		name   string
		change func(b *model.Batch)
		want   string
	}{
		{"no rows", func(b *model.Batch) { *b = model.Batch{} }, "no rows"},
		{"row counts", func(b *model.Batch) { b.Text = b.Text[:2] }, "Text has 2 rows"},
		{"input size", func(b *model.Batch) { b.Inputs["motion"][1] = make([]float32, 7) }, "row 1 of modality motion"},
		{"unknown token", func(b *model.Batch) { b.Target[2] = []int{1 << 20} }, "target of row 2"},
		{"negative token", func(b *model.Batch) { b.Text[0] = []int{-1} }, "text of row 0"},
		{"ragged anchors", func(b *model.Batch) { b.Anchor[1] = b.Anchor[1][:3] }, "anchor of row 1"},
		{"soft target twice", func(b *model.Batch) { b.Soft[1].TopIDs[0] = []int{4, 4} }, "soft target of row 1"},
		{"soft target not a logarithm", func(b *model.Batch) { b.Soft[1].TopLog[0][0] = 3 }, "no log-probability"},
		{"nothing to learn", func(b *model.Batch) { b.Target, b.Soft, b.Anchor = nil, nil, nil }, "no target"},
		{"infinite input", func(b *model.Batch) { b.Inputs["motion"][1][0] = float32(math.Inf(1)) }, "nothing was changed"},
		{"NaN anchor", func(b *model.Batch) { b.Anchor[1][0] = float32(math.NaN()) }, "nothing was changed"},
	} {
		b := rows(base, s, 4)
		b.Soft = soft(b, 2)
		test.change(&b)
		before := state(t, m)
		_, err := m.Step(b, everything(model.ContrastSimilarity), 0)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
		if !bytes.Equal(state(t, m), before) {
			t.Errorf("%s: the model changed", test.name)
		}
	}
}

func TestTextsLongerThanTheBase(t *testing.T) {
	base, s := tiny(t, 1), spec()
	m := newModel(t, base, s)
	b := rows(base, s, 2)
	b.Text[0] = slices.Repeat([]int{7}, 100)
	b.Target[1] = slices.Repeat([]int{7}, 100)
	if _, err := m.Step(b, model.Objective{LM: 1, LR: 1e-3}, 0); err != nil {
		t.Error(err)
	}
	if _, err := m.Generate(b, 200); err != nil {
		t.Error(err)
	}
}

func TestFuse(t *testing.T) {
	base, s := tiny(t, 1), spec()
	m := newModel(t, base, s)
	b := rows(base, s, 37)
	all, err := m.Fuse(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 37 || len(all[0]) != s.Fused {
		t.Fatalf("%d rows of %d values", len(all), len(all[0]))
	}
	for _, i := range []int{0, 20, 36} {
		one, err := m.Fuse(slice(b, i, i+1))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(one[0], all[i]) {
			t.Errorf("row %d alone has another representation", i)
		}
	}
}

func TestPretrainLearns(t *testing.T) {
	tok, err := model.TrainTokenizer(words, 300)
	if err != nil {
		t.Fatal(err)
	}
	cfg := model.Config{Layers: 2, Dim: 32, Heads: 4, Vocab: tok.Size(), Positions: 48, Eps: 1e-5}
	var losses []float64
	opt := model.PretrainOptions{Steps: 120, Batch: 8, Seed: 1, Progress: func(_, _ int, loss float64) { losses = append(losses, loss) }}
	if _, err := model.Pretrain(context.Background(), cfg, tok, words, opt); err != nil {
		t.Fatal(err)
	}
	if last := losses[len(losses)-1]; len(losses) != 120 || !(last < losses[0]/3) {
		t.Errorf("%d steps, loss from %v to %v", len(losses), losses[0], last)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opt.Progress = func(step, _ int, _ float64) {
		if step == 3 {
			cancel()
		}
	}
	if _, err := model.Pretrain(ctx, cfg, tok, words, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled after 3 steps: %v", err)
	}
}
