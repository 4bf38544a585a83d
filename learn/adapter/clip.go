package adapter

import (
	"fmt"
	"math"
)

// CenteredClip begins at zero and moves several times by the mean of the differences to the contributions, each cut to the length Tau
// (Karimireddy et al., ICML 2021), so that a false contribution moves the result by no more than Tau/n a time. A contribution is one
// vector of all its tensors. Weights are not used.
type CenteredClip struct {
	Tau        float64 // in the units of the parameters, more than 0
	Iterations int     // 1 or more
}

// Name is "centered-clip(TAU,ITERATIONS)".
func (r CenteredClip) Name() string { return fmt.Sprintf("centered-clip(%v,%d)", r.Tau, r.Iterations) }

// ClipStep tells what one iteration did.
type ClipStep struct {
	Factors []float64 // what the differences were multiplied by, 1 where none was cut
	Norm    float64   // of the result so far
}

// Combine takes contributions of equal structure.
func (r CenteredClip) Combine(cs []Contribution) (Component, error) {
	out, _, err := r.Trace(cs)
	return out, err
}

// Trace is Combine, with what each iteration did.
func (r CenteredClip) Trace(cs []Contribution) (Component, []ClipStep, error) {
	if err := alike(r, cs); err != nil {
		return Component{}, nil, err
	}
	out := cs[0].Component.Clone()
	if !(r.Tau > 0) || math.IsInf(r.Tau, 0) || r.Iterations < 1 {
		return Component{}, nil, fmt.Errorf("%s of component %q: want tau more than 0 and 1 iteration or more", r.Name(), out.Name)
	}
	center := make([]float64, out.Params())
	steps := make([]ClipStep, r.Iterations)
	for s := range steps {
		move := make([]float64, len(center))
		for _, c := range cs {
			factor := min(1, r.Tau/math.Sqrt(squaredLength(c.Component, center)))
			steps[s].Factors = append(steps[s].Factors, factor)
			at := 0
			for _, t := range c.Component.Tensors {
				for _, x := range t.Data {
					move[at] += float64((float64(x) - center[at]) * factor)
					at++
				}
			}
		}
		var square float64
		for i, m := range move {
			center[i] += m / float64(len(cs))
			square += float64(center[i] * center[i])
		}
		steps[s].Norm = math.Sqrt(square)
	}
	at := 0
	for _, t := range out.Tensors {
		for j := range t.Data {
			t.Data[j] = float32(center[at])
			at++
		}
	}
	return out, steps, nil
}

// squaredLength of the way from center to c.
func squaredLength(c Component, center []float64) float64 {
	var sum float64
	at := 0
	for _, t := range c.Tensors {
		for _, x := range t.Data {
			d := float64(x) - center[at]
			sum += float64(d * d)
			at++
		}
	}
	return sum
}
