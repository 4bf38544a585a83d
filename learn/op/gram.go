package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// Gram is the Gram-volume contrastive loss (GRAM, arXiv 2412.11959). For anchor i and the vectors of row j, all scaled to
// unit length and stacked as the rows of X, the volume is V_ij = sqrt(det(X X^T + GramEps I)), and the loss is
//
//	1/2 (CE(-V/Tau, diagonal) + CE(-V^T/Tau, diagonal))
//
// where CE is the mean over rows. All pairs of the batch are used. It is computed in float64, because determinants of
// nearly dependent vectors drown in float32.
// Inputs: anchor [n, d], then vectors [n, d] each. Output: [1].
type Gram struct {
	Tau float64
	// Cosine puts the cosine of the anchor and a single vector in the place of -V: the loss is InfoNCE (arXiv 1807.03748), both ways. Unlike
	// a volume it tells a vector from its opposite.
	Cosine bool
	Smooth float64 // label smoothing: share of the target spread evenly over all candidates
	// Rows is how many leading rows count.
	Rows int
	// Labels [Rows]: different rows with equal labels >= 0 are left out of each other's candidates. Nil: none are.
	Labels []int

	dim   int
	units [][]float64 // per input: unit vectors [n, d]
	norms [][]float64
	grads [][]float64 // with respect to the vectors before scaling, of the last Backward
	gram  gramLoss
	loss  float64
}

// GramEps keeps the determinant of dependent vectors from vanishing.
const GramEps = 1e-6

// leastNorm bounds the norm that a vector is divided by.
const leastNorm = 1e-12

func (f *Gram) String() string { return "Gram volume loss" }

// Shape implements Func.
func (f *Gram) Shape(in []tensor.Shape) (tensor.Shape, error) {
	dims, err := sameRows(in)
	if err != nil {
		return nil, err
	}
	f.dim = dims[0]
	if f.Cosine && len(in) != 2 {
		return nil, fmt.Errorf("a cosine is of the anchor and one vector, there are %d", len(in)-1)
	}
	for i := range in {
		if err := want(in[i:i+1], []string{"vector"}, in[0]); err != nil {
			return nil, err
		}
	}
	f.units, f.norms, f.grads = make([][]float64, len(in)), make([][]float64, len(in)), make([][]float64, len(in))
	return tensor.Shape{1}, nil
}

// Forward implements Func.
func (f *Gram) Forward(out []float32, in [][]float32) {
	if f.Rows == 0 {
		out[0] = 0
		return
	}
	for k, x := range in {
		f.units[k], f.norms[k] = grow64(f.units[k], f.Rows*f.dim), grow64(f.norms[k], f.Rows)
		for i := range f.Rows {
			u := f.units[k][i*f.dim:][:f.dim]
			for j := range u {
				u[j] = float64(x[i*f.dim+j])
			}
			f.norms[k][i] = max(math.Sqrt(dot64(u, u)), leastNorm)
			for j := range u {
				u[j] /= f.norms[k][i]
			}
		}
	}
	l := &f.gram
	l.tau, l.cosine, l.smooth, l.rows, l.dim, l.labels, l.units = f.Tau, f.Cosine, f.Smooth, f.Rows, f.dim, f.Labels, f.units
	f.loss = f.gram.forward()
	out[0] = float32(f.loss)
}

// Backward implements Func.
func (f *Gram) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for _, g := range grads {
		clear(g)
	}
	if f.Rows == 0 {
		return
	}
	for k := range f.grads {
		f.grads[k] = grow64(f.grads[k], f.Rows*f.dim)
		clear(f.grads[k])
	}
	f.gram.backward(f.grads)
	for k, out := range grads {
		if out == nil {
			continue
		}
		for i := range f.Rows {
			g := f.grads[k][i*f.dim:][:f.dim]
			unitBack(g, f.units[k][i*f.dim:][:f.dim], f.norms[k][i])
			for j, v := range g {
				out[i*f.dim+j] = float32(v * float64(grad[0]))
			}
		}
	}
}
