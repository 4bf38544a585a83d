package model_test

import (
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

// TestWarmStepAllocatesNothing: with every kind of loss, on both families.
func TestWarmStepAllocatesNothing(t *testing.T) {
	for _, family := range []model.Family{model.GPT2, model.Llama} {
		m, batch := falls.model(t, family, 16, 2)
		for i := range batch.Target {
			anchor := make([]float32, m.Spec().Fused)
			anchor[i] = 1
			batch.Anchor = append(batch.Anchor, anchor)
			batch.Soft = append(batch.Soft, model.SoftTarget{IDs: []int{i, 1}, TopIDs: [][]int{{i, 40}, {1}}, TopLog: [][]float32{{-0.1, -3}, {-0.2}}})
		}
		for name, o := range map[string]model.Objective{
			"LM":         {LM: 1},
			"soft":       {Soft: 1},
			"similarity": {Contrast: 1, Kind: model.ContrastSimilarity},
			"Gram":       {Contrast: 1, Kind: model.ContrastGram},
			"all":        {LM: 1, Soft: 1, Contrast: 1, Kind: model.ContrastSimilarity},
		} {
			t.Run(family.String()+", "+name, func(t *testing.T) {
				o.LR, o.Decay, o.Clip = 1e-3, 0.01, 1
				step := func() {
					if _, err := m.Step(batch, o, 1); err != nil {
						t.Fatal(err)
					}
				}
				step()
				if n := testing.AllocsPerRun(10, step); n > 0 {
					t.Errorf("%g allocations a step", n)
				}
			})
		}
	}
}
