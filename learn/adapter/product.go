package adapter

// endDelta ends the name of a module's full update.
const endDelta = ".delta"

// ProductMean averages the updates that the pairs stand for, B A, and not A and B by themselves, whose products the mean of A and the
// mean of B do not give. The result has one tensor MODULE.delta [out, in] a module, which is no LoRA any more.
type ProductMean struct {
	Scaled bool // updates are (B A) alpha/r
}

// Name is "product-mean", or "product-mean(scaled)".
func (r ProductMean) Name() string {
	if r.Scaled {
		return "product-mean(scaled)"
	}
	return "product-mean"
}

// Combine gives the weighted mean of the updates.
func (r ProductMean) Combine(cs []Contribution) (Component, error) {
	modules, weights, err := stacking(r, cs, r.Scaled)
	if err != nil {
		return Component{}, err
	}
	var tensors []Tensor
	for m, versions := range modules {
		p := versions[0]
		sum := make([]float64, p.out*p.in)
		for i, q := range versions {
			q.addProduct(sum, weights[m][i], false)
		}
		tensors = append(tensors, Tensor{Name: p.module + endDelta, Shape: []int{p.out, p.in}, Data: narrow(sum)})
	}
	return combined(cs, tensors), nil
}

// addProduct adds scale B A to sum [out, in], or its transpose to sum [in, out].
func (p pair) addProduct(sum []float64, scale float64, transposed bool) {
	for o := range p.out {
		for k := range p.rank {
			b := float64(scale * float64(p.b[o*p.rank+k]))
			for j, x := range p.a[k*p.in:][:p.in] {
				at := o*p.in + j
				if transposed {
					at = j*p.out + o
				}
				sum[at] += float64(b * float64(x))
			}
		}
	}
}

// FLoRA stacks pairs (FLoRA, arXiv 2409.05976): A has the rows of all nodes' A, times the node's weight, and B the columns of all B, so
// that B A is the weighted mean of the updates without any error, whatever the ranks. The rank is the sum of all ranks.
type FLoRA struct {
	Scaled bool // the blocks of A are also times alpha/r: the result is to be used with scale 1, that is with alpha equal to its rank
}

// Name is "flora", or "flora(scaled)".
func (r FLoRA) Name() string {
	if r.Scaled {
		return "flora(scaled)"
	}
	return "flora"
}

// Combine stacks in the order of the contributions.
func (r FLoRA) Combine(cs []Contribution) (Component, error) {
	modules, weights, err := stacking(r, cs, r.Scaled)
	if err != nil {
		return Component{}, err
	}
	var tensors []Tensor
	for m, versions := range modules {
		out := versions[0]
		out.rank, out.a, out.b = 0, nil, nil
		for i, p := range versions {
			out.rank += p.rank
			for _, x := range p.a {
				out.a = append(out.a, float32(weights[m][i]*float64(x)))
			}
		}
		for o := range out.out {
			for _, p := range versions {
				out.b = append(out.b, p.b[o*p.rank:][:p.rank]...)
			}
		}
		tensors = append(tensors, out.tensors()...)
	}
	return combined(cs, tensors), nil
}

// stacking gives the pairs of every module, and the factor of each contribution's product.
func stacking(r Rule, cs []Contribution, scaled bool) (modules [][]pair, factors [][]float64, err error) {
	if modules, err = versions(r, cs); err != nil {
		return nil, nil, err
	}
	weights, err := shares(r, cs)
	if err != nil {
		return nil, nil, err
	}
	for _, versions := range modules {
		factor := weights
		if scaled {
			if factor, err = scales(r, cs, versions); err != nil {
				return nil, nil, err
			}
			for i, w := range weights {
				factor[i] *= w
			}
		}
		factors = append(factors, factor)
	}
	return modules, factors, nil
}
