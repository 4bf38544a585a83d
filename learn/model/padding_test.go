package model

import (
	"math"
	"math/rand/v2"
	"testing"
)

// smallCase is a model with parameters away from their initial values, and a batch with every kind of target.
func smallCase(t *testing.T, family Family, n int) (*Model, Batch) {
	t.Helper()
	cfg := Config{Family: family, Layers: 2, Dim: 8, Heads: 2, Vocab: 13, Positions: 24, Eps: 1e-5}
	targets := []string{"c_attn", "c_proj", "c_fc"}
	if family == Llama {
		cfg.KVHeads, cfg.HeadDim, cfg.Hidden, cfg.Untied = 1, 6, 10, true
		targets = []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
	}
	base := RandomBase(cfg, 5)
	spec := Spec{
		Modalities: []Modality{{Name: "a", Kind: Series, Shape: []int{2, 6}}, {Name: "b", Kind: Image, Shape: []int{1, 4, 4}}, {Name: "c", Kind: Text, Shape: []int{5}}},
		Width:      2, Projection: 4, Fused: 6, Prompt: 2, Rank: 2, Alpha: 4,
		Targets: targets,
	}
	m, err := New(base, spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, p := range m.params { // LoRA's B begins at zero, which would hide the gradient of A
		for i, v := range gauss(r, len(p.Data), 0.1) {
			p.Data[i] += v
		}
	}
	b := Batch{Inputs: make(map[string][][]float32)}
	for i := range n {
		for _, mod := range spec.Modalities {
			b.Inputs[mod.Name] = append(b.Inputs[mod.Name], gauss(r, mod.Size(), 1))
		}
		b.Text = append(b.Text, []int{1, 2, 3}[:i%4])
		b.Target = append(b.Target, []int{4, 5, i, 12}[i%3:])
		b.Soft = append(b.Soft, SoftTarget{IDs: []int{3, 12}, TopIDs: [][]int{{3, i + 4}, {12, 1}}, TopLog: [][]float32{{-0.5, -1.2}, {-0.2, -3}}})
		b.Anchor = append(b.Anchor, gauss(r, spec.Fused, 1))
		b.Labels = append(b.Labels, i%3-1)
	}
	b.Inputs["a"][2] = nil
	return m, b
}

func gauss(r *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * scale)
	}
	return x
}

// TestPaddingChangesNothing runs one batch through the graph of its own size and through one with more rows and positions: every
// loss and gradient is the same.
func TestPaddingChangesNothing(t *testing.T) {
	for _, family := range []Family{GPT2, Llama} {
		t.Run(family.String(), func(t *testing.T) { testPadding(t, family) })
	}
}

func testPadding(t *testing.T, family Family) {
	const n = 5
	m, b := smallCase(t, family, n)
	for _, kind := range []string{ContrastSimilarity, ContrastGram} {
		o := Objective{LM: 1, Soft: 0.7, Contrast: 0.3, Kind: kind, Tau: 0.5}
		run := func(rows, slots int) (Loss, map[string][]float32) {
			key := graphKey{rows: rows, slots: slots, lm: true, soft: true, contrast: kind, anchor: m.spec.Fused}
			g, err := m.newStepGraph(key)
			if err != nil {
				t.Fatal(err)
			}
			// What an earlier, larger batch has left in the graph must not shine through.
			for _, x := range append(g.fusion.inputs, g.anchor) {
				for i := range x {
					x[i] = 9
				}
			}
			g.load(b, n, m.sequences(nil, b, n, key))
			g.weigh(o)
			g.b.g.Run()
			grads := make(map[string][]float32)
			for i, x := range g.b.grads {
				grads[g.b.params[i].Name] = append([]float32(nil), x...)
			}
			return g.loss(), grads
		}
		loss, grads := run(n, 6)
		padded, paddedGrads := run(8, 14)
		for _, part := range []struct {
			name      string
			got, want float64
		}{{"LM", padded.LM, loss.LM}, {"soft", padded.Soft, loss.Soft}, {"contrast", padded.Contrast, loss.Contrast}, {"total", padded.Total, loss.Total}} {
			if part.want == 0 || math.Abs(part.got-part.want) > 1e-6 {
				t.Errorf("%s: %s loss %v with padding, %v without", kind, part.name, part.got, part.want)
			}
		}
		for name, want := range grads {
			closeTo(t, kind+": gradient of "+name, paddedGrads[name], want, 1e-6, 1e-5)
		}
	}
}
