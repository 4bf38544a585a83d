package adapter

import (
	"fmt"
	"strings"
)

// Merge gives the base weights that the adapter changes, with its update in them: W + B A alpha/r, transposed where the base has its
// weights as [in, out]. base gives a weight by its name, the module's with ".weight". The sums are in float64. Modules that the base
// does not have, and shapes that do not fit, are errors that name them.
func (p *PEFT) Merge(base func(name string) (Tensor, bool)) ([]Tensor, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("merging the adapter: %w", err)
	}
	pairs, err := pairsOf(p.Tensors)
	if err != nil {
		return nil, fmt.Errorf("merging the adapter: %w", err)
	}
	out := make([]Tensor, len(pairs))
	for i, q := range pairs {
		name := strings.TrimPrefix(q.module, peftPrefix) + ".weight"
		w, ok := base(name)
		if !ok {
			return nil, fmt.Errorf("merging the adapter: the base has no weight %q: %w", name, ErrStructure)
		}
		rows, columns := q.out, q.in
		if p.FanInFanOut {
			rows, columns = columns, rows
		}
		if len(w.Shape) != 2 || w.Shape[0] != rows || w.Shape[1] != columns || len(w.Data) != rows*columns {
			return nil, fmt.Errorf("merging the adapter: weight %q has shape %v, the adapter wants [%d %d]: %w", name, w.Shape, rows, columns, ErrStructure)
		}
		sum := make([]float64, len(w.Data))
		q.addProduct(sum, p.Alpha/float64(q.rank), p.FanInFanOut)
		for j, x := range w.Data {
			sum[j] += float64(x)
		}
		out[i] = Tensor{Name: name, Shape: []int{rows, columns}, Data: narrow(sum)}
	}
	return out, nil
}
