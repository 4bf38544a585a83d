package model_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
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

// TestWarmStepOfAStoredBaseAllocatesNothing: however the base is stored, on one thread and on two. Llama's heads share keys.
func TestWarmStepOfAStoredBaseAllocatesNothing(t *testing.T) {
	for _, c := range []model.Config{{Family: model.GPT2}, {Family: model.Llama, KVHeads: 2}} {
		c.Layers, c.Dim, c.Heads, c.Vocab, c.Positions, c.Eps = 2, 128, 4, 512, 64, 1e-5 // large enough for the products to be divided
		base := model.RandomBase(c, 5)
		for _, d := range []kernel.DType{kernel.Float32, kernel.BFloat16, kernel.Int8, kernel.W8A8} {
			m, batch := falls.on(t, base.Stored(d))
			for threads := 1; threads <= 2; threads++ {
				t.Run(fmt.Sprintf("%v, %v, threads=%d", c.Family, d, threads), func(t *testing.T) {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
					warmStepAllocatesNothing(t, m, batch)
				})
			}
		}
	}
}

// warmStepAllocatesNothing: of several stretches of steps one must do without, because the runtime allocates now and then where goroutines
// start.
func warmStepAllocatesNothing(t *testing.T, m *model.Model, batch model.Batch) {
	stretch := func(steps int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range steps {
			if _, err := m.Step(batch, model.Objective{LM: 1, LR: 1e-3, Clip: 1}, 1); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	stretch(2)
	least := stretch(2)
	for range 20 {
		if least == 0 {
			return
		}
		least = min(least, stretch(2))
	}
	t.Errorf("at least %d allocations in 2 steps", least)
}
