package adapter

import (
	"cmp"
	"fmt"
	"slices"
)

// Krum keeps the contributions that are closest to their neighbours, and takes the plain mean of those (Krum and multi-Krum, Blanchard et
// al., NeurIPS 2017). A contribution is one vector of all its tensors. Weights are not used.
type Krum struct {
	Faulty int // f: how many contributions may be false, 0 or more
	Keep   int // how many are kept: 1 is Krum, more is multi-Krum in one pass
}

// Name is "krum(F)", or "multi-krum(F,KEEP)".
func (r Krum) Name() string {
	if r.Keep == 1 {
		return fmt.Sprintf("krum(%d)", r.Faulty)
	}
	return fmt.Sprintf("multi-krum(%d,%d)", r.Faulty, r.Keep)
}

// Combine takes at least 2f+3 contributions of equal structure.
func (r Krum) Combine(cs []Contribution) (Component, error) {
	kept, _, err := r.Select(cs)
	if err != nil {
		return Component{}, err
	}
	parts, weights := make([]Component, len(kept)), make([]float64, len(kept))
	for i, k := range kept {
		parts[i], weights[i] = cs[k].Component, 1
	}
	return WeightedMean(parts, weights)
}

// Select gives the indices of the contributions that are kept, in rising order, and the scores of all: the sum of the squared distances
// to the n-f-2 nearest others. The lowest scores are kept; of equal ones the first.
func (r Krum) Select(cs []Contribution) (kept []int, scores []float64, err error) {
	if err := alike(r, cs); err != nil {
		return nil, nil, err
	}
	n := len(cs)
	if r.Faulty < 0 || r.Keep < 1 || r.Keep > n || n < 3 || r.Faulty > (n-3)/2 {
		return nil, nil, fmt.Errorf("%s of component %q: %w: %d", r.Name(), cs[0].Component.Name, errTooFew, n)
	}
	distances := make([][]float64, n)
	for i := range cs {
		for j := range cs[:i] {
			d := squaredDistance(cs[i].Component, cs[j].Component)
			distances[i], distances[j] = append(distances[i], d), append(distances[j], d)
		}
	}
	scores = make([]float64, n)
	order := make([]int, n)
	for i, d := range distances {
		slices.Sort(d)
		for _, x := range d[:n-r.Faulty-2] {
			scores[i] += x
		}
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(scores[i], scores[j]) })
	kept = order[:r.Keep:r.Keep]
	slices.Sort(kept)
	return kept, scores, nil
}

// squaredDistance between components of equal structure.
func squaredDistance(a, b Component) float64 {
	var sum float64
	for t, x := range a.Tensors {
		y := b.Tensors[t].Data
		for j, v := range x.Data {
			d := float64(v) - float64(y[j])
			sum += float64(d * d)
		}
	}
	return sum
}
