package model_test

import (
	"math"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

func TestAnswerIsATeacher(t *testing.T) { eachFamily(t, testAnswerIsATeacher) }

func testAnswerIsATeacher(t *testing.T, family model.Family) {
	base, s := tinyOf(t, family, 60), spec()
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

func TestTextsLongerThanTheBase(t *testing.T) { eachFamily(t, testTextsLongerThanTheBase) }

func testTextsLongerThanTheBase(t *testing.T, family model.Family) {
	base, s := tinyOf(t, family, 1), spec()
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

// TestAnswersDoNotDependOnWhatWasDecodedBefore: a model keeps its decoder, with keys and values of other rows in it.
func TestAnswersDoNotDependOnWhatWasDecodedBefore(t *testing.T) {
	eachFamily(t, func(t *testing.T, family model.Family) {
		base, s := tinyOf(t, family, 1), spec()
		used := newModel(t, base, s)
		for _, c := range []struct{ rows, limit int }{{5, 8}, {2, 3}, {40, 3}, {3, 12}, {1, 1}} {
			b := rows(base, s, c.rows)
			got, err := used.Answer(b, c.limit, 3)
			if err != nil {
				t.Fatal(err)
			}
			want, err := newModel(t, base, s).Answer(b, c.limit, 3)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !slices.Equal(got[i].IDs, want[i].IDs) || !slices.EqualFunc(got[i].TopLog, want[i].TopLog, slices.Equal[[]float32]) {
					t.Fatalf("row %d of %d, %d tokens: %v, a new model says %v", i, c.rows, c.limit, got[i], want[i])
				}
			}
		}
	})
}

// TestEnsembleIsTheMeanOfItsModels compares all probabilities of the first token.
func TestEnsembleIsTheMeanOfItsModels(t *testing.T) {
	s := spec()
	gpt, llama := tinyOf(t, model.GPT2, 60), tinyOf(t, model.Llama, 60)
	models := []*model.Model{newModel(t, gpt, s), newModel(t, llama, s)}
	b, vocab := rows(gpt, s, 40), gpt.Tokenizer.Size()
	together, err := model.Ensemble(models, b, 6, vocab)
	if err != nil {
		t.Fatal(err)
	}
	want := make([][]float64, len(together))
	for _, m := range models {
		alone, err := m.Answer(b, 1, vocab)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range alone {
			if want[i] == nil {
				want[i] = make([]float64, vocab)
			}
			for j, id := range a.TopIDs[0] {
				want[i][id] += math.Exp(float64(a.TopLog[0][j])) / float64(len(models))
			}
		}
	}
	for i, a := range together {
		for j, id := range a.TopIDs[0] {
			if got := math.Exp(float64(a.TopLog[0][j])); math.Abs(got-want[i][id]) > 1e-5 {
				t.Fatalf("row %d: token %d has probability %v, the models' mean is %v", i, id, got, want[i][id])
			}
		}
		if a.IDs[0] != a.TopIDs[0][0] {
			t.Errorf("row %d begins with %d, most likely is %d", i, a.IDs[0], a.TopIDs[0][0])
		}
	}

	same, err := model.Ensemble([]*model.Model{models[0], newModel(t, gpt, s)}, b, 6, 0)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := models[0].Answer(b, 6, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range same {
		if !slices.Equal(same[i].IDs, alone[i].IDs) {
			t.Errorf("row %d: twins answer %v, one of them %v", i, same[i].IDs, alone[i].IDs)
		}
	}
	if _, err := model.Ensemble(nil, b, 6, 0); err == nil {
		t.Error("no model answered")
	}
}
