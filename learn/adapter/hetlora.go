package adapter

import (
	"fmt"
	"math"
)

// HetLoRA averages zero-padded pairs with weights that are in proportion to ||B A||, so that an adapter that has learned little counts
// little (HetLoRA, arXiv 2401.06432, sparsity-weighted aggregation). The contributions' own weights are not used. Where all norms are
// zero all weigh the same.
type HetLoRA struct {
	Global bool // one weight for all modules of a node, from the root of the sum of squares; else each module has its own
}

// Name is "hetlora", or "hetlora(global)".
func (r HetLoRA) Name() string {
	if r.Global {
		return "hetlora(global)"
	}
	return "hetlora"
}

// Combine gives pairs of the largest rank. Truncate cuts them for a node of a smaller one.
func (r HetLoRA) Combine(cs []Contribution) (Component, error) {
	modules, err := versions(r, cs)
	if err != nil {
		return Component{}, err
	}
	var tensors []Tensor
	for m, weights := range r.weights(modules, len(cs)) {
		p := pad(modules[m], func(int) []float64 { return weights })
		tensors = append(tensors, p.tensors()...)
	}
	return combined(cs, tensors), nil
}

// ModuleWeights are the weights that the contributions have in one module, summing to 1.
type ModuleWeights struct {
	Module  string
	Weights []float64
}

// Weights tells, module by module in name order, how Combine weighs the contributions.
func (r HetLoRA) Weights(cs []Contribution) ([]ModuleWeights, error) {
	modules, err := versions(r, cs)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	out := make([]ModuleWeights, len(modules))
	for m, weights := range r.weights(modules, len(cs)) {
		out[m] = ModuleWeights{Module: modules[m][0].module, Weights: weights}
	}
	return out, nil
}

// weights of n contributions in every module.
func (r HetLoRA) weights(modules [][]pair, n int) [][]float64 {
	out := make([][]float64, len(modules))
	all := make([]float64, n) // sums of squares
	for m, versions := range modules {
		out[m] = make([]float64, n)
		for i, p := range versions {
			square := p.squaredNorm()
			all[i] += square
			out[m][i] = math.Sqrt(square)
		}
	}
	for i, square := range all {
		all[i] = math.Sqrt(square)
	}
	for m := range out {
		if r.Global {
			copy(out[m], all)
		}
		var total float64
		for _, s := range out[m] {
			total += s
		}
		for i := range out[m] {
			if total > 0 {
				out[m][i] /= total
			} else {
				out[m][i] = 1 / float64(n)
			}
		}
	}
	return out
}

// squaredNorm is ||B A||^2 as the sum over (B^T B) * (A A^T), which needs no [out, in].
func (p pair) squaredNorm() float64 {
	var square float64
	for k := range p.rank {
		for l := range p.rank {
			var aa, bb float64
			for j := range p.in {
				aa += float64(float64(p.a[k*p.in+j]) * float64(p.a[l*p.in+j]))
			}
			for o := range p.out {
				bb += float64(float64(p.b[o*p.rank+k]) * float64(p.b[o*p.rank+l]))
			}
			square += float64(aa * bb)
		}
	}
	return max(square, 0)
}
