package model

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
)

// TestGradientsOfTheWholeModel compares the gradient of the whole cost, with every kind of loss, dropout, padding and a missing
// modality, with fourth-order central differences along a random direction of every parameter.
func TestGradientsOfTheWholeModel(t *testing.T) {
	for _, family := range []Family{GPT2, Llama} {
		t.Run(family.String(), func(t *testing.T) {
			kerneltest.Each(t, func(t *testing.T) { testGradients(t, family) })
		})
	}
}

func testGradients(t *testing.T, family Family) {
	for _, kind := range []string{ContrastSimilarity, ContrastGram} {
		m, b := smallCase(t, family, 5)
		m.spec.Dropout, m.spec.LoRADrop = 0.2, 0.2
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
		for _, x := range g.b.grads {
			grads = append(grads, append([]float32(nil), x...))
		}
		if len(grads) != len(m.params) {
			t.Fatalf("%s: %d gradients for %d parameters", kind, len(grads), len(m.params))
		}
		r := rand.New(rand.NewPCG(5, 6))
		for i, p := range g.b.params {
			direction := gauss(r, len(p.Data), 1/math.Sqrt(float64(len(p.Data))))
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
