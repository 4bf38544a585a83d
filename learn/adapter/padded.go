package adapter

// ZeroPadded averages LoRA pairs of different ranks as if the smaller were filled with zeros up to the largest: the padding counts in
// the denominator, so that what few nodes have shrinks.
type ZeroPadded struct{}

// Name is "zero-padded-mean".
func (ZeroPadded) Name() string { return "zero-padded-mean" }

// Combine gives pairs of the largest rank.
func (r ZeroPadded) Combine(cs []Contribution) (Component, error) {
	return padded(r, cs, func(_ []pair, weights []float64, _ int) []float64 { return weights })
}

// DimensionWise averages every row of A and column of B over only those nodes whose rank reaches it.
type DimensionWise struct{}

// Name is "dimension-wise-mean".
func (DimensionWise) Name() string { return "dimension-wise-mean" }

// Combine gives pairs of the largest rank. A dimension that only nodes of weight 0 have is zero.
func (r DimensionWise) Combine(cs []Contribution) (Component, error) {
	return padded(r, cs, func(versions []pair, weights []float64, k int) []float64 {
		var total float64
		for i, p := range versions {
			if p.rank > k {
				total += weights[i]
			}
		}
		out := make([]float64, len(weights))
		for i, p := range versions {
			if p.rank > k && total > 0 {
				out[i] = weights[i] / total
			}
		}
		return out
	})
}

// padded combines contributions by their weights; of gives the shares that the contributions have in dimension k of a module.
func padded(r Rule, cs []Contribution, of func(versions []pair, weights []float64, k int) []float64) (Component, error) {
	modules, err := versions(r, cs)
	if err != nil {
		return Component{}, err
	}
	weights, err := shares(r, cs)
	if err != nil {
		return Component{}, err
	}
	var tensors []Tensor
	for _, versions := range modules {
		p := pad(versions, func(k int) []float64 { return of(versions, weights, k) })
		tensors = append(tensors, p.tensors()...)
	}
	return combined(cs, tensors), nil
}

// pad sums the versions of one module up to the largest rank; of gives the share of each version in dimension k.
func pad(versions []pair, of func(k int) []float64) pair {
	out := versions[0]
	for _, p := range versions {
		out.rank = max(out.rank, p.rank)
	}
	a, b := make([]float64, out.rank*out.in), make([]float64, out.out*out.rank)
	for k := range out.rank {
		shares := of(k)
		for i, p := range versions {
			if k >= p.rank {
				continue
			}
			w := shares[i]
			for j, x := range p.a[k*p.in:][:p.in] {
				a[k*out.in+j] += float64(w * float64(x))
			}
			for o := range p.out {
				b[o*out.rank+k] += float64(w * float64(p.b[o*p.rank+k]))
			}
		}
	}
	out.a, out.b = narrow(a), narrow(b)
	return out
}

// narrow rounds to float32.
func narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}
