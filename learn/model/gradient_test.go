package model

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestGradientsOfTheWholeModel compares the gradient of the whole cost, with every kind of loss, dropout, a padded row and a
// missing modality, with fourth-order central differences along random directions of every parameter.
func TestGradientsOfTheWholeModel(t *testing.T) {
	base := RandomBase(Config{Layers: 2, Dim: 8, Heads: 2, Vocab: 13, Positions: 24, Eps: 1e-5}, 5)
	spec := Spec{
		Modalities: []Modality{{Name: "a", Kind: Series, Shape: []int{2, 6}}, {Name: "b", Kind: Image, Shape: []int{1, 4, 4}}, {Name: "c", Kind: Text, Shape: []int{5}}},
		Width:      2, Projection: 4, Fused: 6, Prompt: 2, Rank: 2, Alpha: 4, Dropout: 0.2, LoRADrop: 0.2,
		Targets: []string{"c_attn", "c_proj", "c_fc"},
	}
	r := rand.New(rand.NewPCG(3, 4))
	vector := func(n int, scale float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64() * scale)
		}
		return x
	}
	const n = 5
	b := Batch{Inputs: make(map[string][][]float32), Labels: []int{0, 1, 0, -1, -1}}
	for i := range n {
		for _, m := range spec.Modalities {
			b.Inputs[m.Name] = append(b.Inputs[m.Name], vector(m.Size(), 1))
		}
		b.Text = append(b.Text, []int{1, 2, 3}[:i%4])
		b.Target = append(b.Target, []int{4, 5, i, 12}[i%3:])
		b.Soft = append(b.Soft, SoftTarget{IDs: []int{3, 12}, TopIDs: [][]int{{3, i + 4}, {12, 1}}, TopLog: [][]float32{{-0.5, -1.2}, {-0.2, -3}}})
		b.Anchor = append(b.Anchor, vector(spec.Fused, 1))
	}
	b.Inputs["a"][2] = nil

	for _, kind := range []string{ContrastSimilarity, ContrastGram} {
		m, err := New(base, spec, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.params { // LoRA's B begins at zero, which would hide the gradient of A
			for i, v := range vector(len(p.Data), 0.1) {
				p.Data[i] += v
			}
		}
		o := Objective{LM: 1, Soft: 0.7, Contrast: 0.3, Kind: kind, Tau: 0.5}
		cost := func() (float64, *stepGraph) {
			loss, g, err := m.gradients(b, o, 77)
			if err != nil {
				t.Fatal(err)
			}
			return loss.Total, g
		}
		_, g := cost()
		var grads [][]float32
		for _, x := range g.b.gradients() {
			grads = append(grads, append([]float32(nil), x...))
		}
		if len(grads) != len(m.params) {
			t.Fatalf("%s: %d gradients for %d parameters", kind, len(grads), len(m.params))
		}
		for i, p := range g.b.params {
			direction := vector(len(p.Data), 1/math.Sqrt(float64(len(p.Data))))
			var want float64
			for j, d := range direction {
				want += float64(d) * float64(grads[i][j])
			}
			old := append([]float32(nil), p.Data...)
			at := func(h float64) float64 {
				for j, d := range direction {
					p.Data[j] = old[j] + float32(h)*d
				}
				c, _ := cost()
				copy(p.Data, old)
				return c
			}
			const h = 1.0 / 64
			got := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
			if !(math.Abs(got-want) < 2e-4+1e-2*math.Abs(want)) {
				t.Errorf("%s: %s: slope %g, numerically %g", kind, p.Name, want, got)
			}
		}
	}
}
