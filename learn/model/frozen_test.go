package model_test

import (
	"bytes"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/model"
)

// TestStoredBaseCostsLittle: bytes at rest, and the loss of a batch.
func TestStoredBaseCostsLittle(t *testing.T) {
	for _, family := range []model.Family{model.GPT2, model.Llama} {
		m, batch := motion.model(t, family, 128, 2)
		full, err := m.Step(batch, model.Objective{LM: 1}, 1)
		if err != nil {
			t.Fatal(err)
		}
		base := model.RandomBase(model.Config{Family: family, Layers: 2, Dim: 128, Heads: 4, Vocab: 512, Positions: 64, Eps: 1e-5}, 5)
		for _, c := range []struct {
			dtype       kernel.DType
			bytes, loss float64
		}{{kernel.BFloat16, 2.05, 2e-3}, {kernel.Int8, 1.1, 1e-2}, {kernel.W8A8, 2.25, 1e-2}} {
			t.Run(family.String()+" as "+c.dtype.String(), func(t *testing.T) {
				stored := base.Stored(c.dtype)
				if got := float64(stored.Bytes()) / float64(base.Params()); got > c.bytes || stored.Params() != base.Params() {
					t.Errorf("%g bytes for each of %d parameters of %d, want at most %g", got, stored.Params(), base.Params(), c.bytes)
				}
				if stored.Digest() != base.Digest() {
					t.Error("the digest is another one: adapters of nodes that store their base otherwise would not be averaged")
				}
				m, err := model.New(stored, m.Spec(), 1)
				if err != nil {
					t.Fatal(err)
				}
				loss, err := m.Step(batch, model.Objective{LM: 1}, 1)
				if err != nil || loss.Total == full.Total || math.Abs(loss.Total-full.Total) > c.loss {
					t.Errorf("loss %v, with fp32 %v: want another one, within %g; %v", loss.Total, full.Total, c.loss, err)
				}
			})
		}
	}
}

func TestStoredBaseLearnsAndAnswers(t *testing.T) {
	for i, family := range []model.Family{model.GPT2, model.Llama, model.GPT2, model.Llama} {
		dtype := []kernel.DType{kernel.Int8, kernel.W8A8}[i/2]
		full, batch := motion.model(t, family, 32, 2)
		base := model.RandomBase(model.Config{Family: family, Layers: 2, Dim: 32, Heads: 4, Vocab: 512, Positions: 64, Eps: 1e-5}, 5).Stored(dtype)
		run := func(threads int) (losses []float64, answers [][]int) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
			m, err := model.New(base, full.Spec(), 1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 12 {
				loss, err := m.Step(batch, model.Objective{LM: 1, LR: 5e-3, Clip: 1}, uint64(i))
				if err != nil {
					t.Fatal(err)
				}
				losses = append(losses, loss.Total)
			}
			if answers, err = m.Generate(batch, 4); err != nil {
				t.Fatal(err)
			}
			return losses, answers
		}
		losses, answers := run(1)
		if last := losses[len(losses)-1]; !(last < losses[0]-0.5) {
			t.Errorf("%v, %v: the loss went from %g to %g", family, dtype, losses[0], last)
		}
		other, otherAnswers := run(2)
		if !slices.Equal(losses, other) || !slices.EqualFunc(answers, otherAnswers, slices.Equal[[]int]) {
			t.Errorf("%v, %v: two threads give other losses or answers than one", family, dtype)
		}
	}
}

func TestStoredBaseIsNotWritten(t *testing.T) {
	base := model.RandomBase(model.Config{Layers: 1, Dim: 8, Heads: 2, Vocab: 20, Positions: 16, Eps: 1e-5}, 1)
	if base.Stored(kernel.Float32) != base {
		t.Error("a base in fp32 is stored in fp32 once more")
	}
	stored := base.Stored(kernel.BFloat16)
	if err := stored.Validate(); err != nil {
		t.Error(err)
	}
	if err := stored.Write(new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "bf16") {
		t.Errorf("Write: %v", err)
	}
	if err := stored.WriteFolder(t.TempDir()); err == nil || !strings.Contains(err.Error(), "bf16") {
		t.Errorf("WriteFolder: %v", err)
	}
}
