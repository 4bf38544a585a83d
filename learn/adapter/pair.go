package adapter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Endings of PEFT's names of LoRA's matrices.
const (
	endA = ".lora_A.weight"
	endB = ".lora_B.weight"
)

// pair is the low-rank update of one module's weight: B A, times alpha/r.
type pair struct {
	module        string
	rank, in, out int
	a, b          []float32 // [rank, in] and [out, rank]
}

// pairsOf finds the pairs among tensors, in order of module name. Every tensor must belong to one.
func pairsOf(tensors []Tensor) ([]pair, error) {
	as, bs := map[string]Tensor{}, map[string]Tensor{}
	for _, t := range tensors {
		side := as
		module, ok := strings.CutSuffix(t.Name, endA)
		if !ok {
			side = bs
			if module, ok = strings.CutSuffix(t.Name, endB); !ok {
				return nil, fmt.Errorf("tensor %q is neither lora_A nor lora_B: %w", t.Name, ErrStructure)
			}
		}
		if _, twice := side[module]; twice {
			return nil, fmt.Errorf("tensor %q occurs twice: %w", t.Name, ErrStructure)
		}
		if len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 || len(t.Data) != t.Shape[0]*t.Shape[1] {
			return nil, fmt.Errorf("tensor %q has shape %v and %d values, want a full matrix: %w", t.Name, t.Shape, len(t.Data), ErrStructure)
		}
		side[module] = t
	}
	all := make([]pair, 0, len(as))
	for _, module := range slices.Sorted(maps.Keys(as)) {
		a := as[module]
		b, ok := bs[module]
		if !ok {
			return nil, fmt.Errorf("tensor %q has no lora_B: %w", a.Name, ErrStructure)
		}
		if a.Shape[0] != b.Shape[1] {
			return nil, fmt.Errorf("tensors %q %v and %q %v have different ranks: %w", a.Name, a.Shape, b.Name, b.Shape, ErrStructure)
		}
		all = append(all, pair{module: module, rank: a.Shape[0], in: a.Shape[1], out: b.Shape[0], a: a.Data, b: b.Data})
		delete(bs, module)
	}
	for _, module := range slices.Sorted(maps.Keys(bs)) {
		return nil, fmt.Errorf("tensor %q has no lora_A: %w", module+endB, ErrStructure)
	}
	return all, nil
}

// tensors are the pair's two, A first.
func (p pair) tensors() []Tensor {
	return []Tensor{
		{Name: p.module + endA, Shape: []int{p.rank, p.in}, Data: p.a},
		{Name: p.module + endB, Shape: []int{p.out, p.rank}, Data: p.b},
	}
}

// versions gives, for every module in name order, the pair of each contribution. Modules and their inputs and outputs must be equal;
// ranks may differ.
func versions(r Rule, cs []Contribution) ([][]pair, error) {
	if err := usable(r, cs); err != nil {
		return nil, err
	}
	var modules [][]pair
	for i, c := range cs {
		pairs, err := pairsOf(c.Component.Tensors)
		if err != nil {
			return nil, fmt.Errorf("%s, contribution %d: component %q: %w", r.Name(), i, c.Component.Name, err)
		}
		if i == 0 {
			modules = make([][]pair, len(pairs))
		}
		if err := sameModules(cs[0].Component, c.Component, modules, pairs); err != nil {
			return nil, fmt.Errorf("%s, contribution %d: component %q: %w", r.Name(), i, c.Component.Name, err)
		}
		for m, p := range pairs {
			modules[m] = append(modules[m], p)
		}
	}
	for i, c := range cs {
		for _, d := range cs[:i] {
			if sameShapes(c.Component.Tensors, d.Component.Tensors) && c.Component.Signature != d.Component.Signature {
				return nil, fmt.Errorf("%s, contribution %d: component %q: signature %s is not %s, although the shapes are equal: %w",
					r.Name(), i, c.Component.Name, c.Component.Signature, d.Component.Signature, ErrStructure)
			}
		}
	}
	return modules, nil
}

// sameModules compares the pairs of c with those of first, which modules begin with.
func sameModules(first, c Component, modules [][]pair, pairs []pair) error {
	if c.Name != first.Name {
		return fmt.Errorf("it is not %q: %w", first.Name, ErrStructure)
	}
	if len(pairs) != len(modules) {
		return fmt.Errorf("%d modules, not %d: %w", len(pairs), len(modules), ErrStructure)
	}
	for m, p := range pairs {
		if len(modules[m]) == 0 {
			continue
		}
		if q := modules[m][0]; p.module != q.module || p.in != q.in || p.out != q.out {
			return fmt.Errorf("module %q of %d inputs and %d outputs is not %q of %d and %d: %w", p.module, p.in, p.out, q.module, q.in, q.out, ErrStructure)
		}
	}
	return nil
}

// sameShapes tells whether names and shapes are equal, in whatever order.
func sameShapes(a, b []Tensor) bool { return Signature(a) == Signature(b) }

// combined makes a component of tensors, with the signature of the contributions that have the same shapes.
func combined(cs []Contribution, tensors []Tensor) Component {
	slices.SortFunc(tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	out := Component{Name: cs[0].Component.Name, Signature: Signature(tensors), Tensors: tensors}
	for _, c := range cs {
		if sameShapes(c.Component.Tensors, tensors) {
			out.Signature = c.Component.Signature
			break
		}
	}
	return out
}

// Truncate gives the first rank rows of every lora_A and columns of every lora_B, which is how HetLoRA hands an adapter of the largest
// rank to a node of a smaller one. signature is that of the node's own component; the result must be of its structure.
func Truncate(c Component, rank int, signature string) (Component, error) {
	pairs, err := pairsOf(c.Tensors)
	if err != nil {
		return Component{}, fmt.Errorf("truncating component %q: %w", c.Name, err)
	}
	var tensors []Tensor
	for _, p := range pairs {
		if rank < 1 || rank > p.rank {
			return Component{}, fmt.Errorf("truncating component %q: rank %d of module %q cannot become %d: %w", c.Name, p.rank, p.module, rank, ErrStructure)
		}
		cut := p
		cut.rank, cut.a, cut.b = rank, slices.Clone(p.a[:rank*p.in]), make([]float32, 0, p.out*rank)
		for o := range p.out {
			cut.b = append(cut.b, p.b[o*p.rank:][:rank]...)
		}
		tensors = append(tensors, cut.tensors()...)
	}
	slices.SortFunc(tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return Component{Name: c.Name, Signature: signature, Tensors: tensors}, nil
}
