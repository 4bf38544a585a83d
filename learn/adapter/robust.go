package adapter

import (
	"fmt"
	"slices"
)

// Median takes the median of every value; of an even number of contributions the mean of the two in the middle. Fewer than half of the
// contributions can move it no further than the others reach. Weights are not used: a liar would claim the largest.
type Median struct{}

// Name is "median".
func (Median) Name() string { return "median" }

// Combine takes contributions of equal structure.
func (r Median) Combine(cs []Contribution) (Component, error) {
	if err := alike(r, cs); err != nil {
		return Component{}, err
	}
	n := len(cs)
	return coordinatewise(cs, func(sorted []float64) float64 { return (sorted[(n-1)/2] + sorted[n/2]) / 2 }), nil
}

// TrimmedMean drops the Trim largest and the Trim smallest of every value, and takes the plain mean of the rest. Weights are not used.
type TrimmedMean struct {
	Trim int // at each end, 0 or more: how many contributions may be false
}

// Name is "trimmed-mean(TRIM)".
func (r TrimmedMean) Name() string { return fmt.Sprintf("trimmed-mean(%d)", r.Trim) }

// Combine takes more than 2 Trim contributions of equal structure.
func (r TrimmedMean) Combine(cs []Contribution) (Component, error) {
	if err := alike(r, cs); err != nil {
		return Component{}, err
	}
	n := len(cs)
	if r.Trim < 0 || r.Trim > (n-1)/2 {
		return Component{}, fmt.Errorf("%s of component %q: %w: %d", r.Name(), cs[0].Component.Name, errTooFew, n)
	}
	return coordinatewise(cs, func(sorted []float64) float64 {
		var sum float64
		for _, x := range sorted[r.Trim : n-r.Trim] {
			sum += x
		}
		return sum / float64(n-2*r.Trim)
	}), nil
}

// coordinatewise combines value by value; of gets all versions of one value in order of size, and is called by several goroutines.
func coordinatewise(cs []Contribution, of func(sorted []float64) float64) Component {
	out := cs[0].Component.Clone()
	out.eachRange(func(t, from, to int) {
		data, values := out.Tensors[t].Data, make([]float64, len(cs))
		for j := from; j < to; j++ {
			for i, c := range cs {
				values[i] = float64(c.Component.Tensors[t].Data[j])
			}
			slices.Sort(values)
			data[j] = float32(of(values))
		}
	})
	return out
}
