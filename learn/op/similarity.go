package op

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// Similarity is the similarity-preserving loss: a batch's vectors v shall be as alike, pair by pair, as the anchor vectors
// a of the same rows. With vectors centred on their mean over the batch and scaled to unit length,
//
//	4 x mean over i != j of (v_i v_j - a_i a_j)^2
//
// averaged over the inputs after the first. Dimensions may differ between inputs: only similarities are compared.
// Inputs: anchor [n, *], then vectors [n, *] each. Output: [1], 0 where fewer than two rows count.
type Similarity struct {
	// Rows are, per input after the first, the rows that count: those that have the modality. A list is in ascending order.
	Rows [][]int32

	dims   []int
	anchor centred
	vector []centred
}

func (s *Similarity) String() string { return "similarity-preserving loss" }

// Shape implements Func.
func (s *Similarity) Shape(in []tensor.Shape) (tensor.Shape, error) {
	dims, err := sameRows(in)
	if err != nil {
		return nil, err
	}
	s.dims, s.vector = dims, make([]centred, len(in)-1)
	return tensor.Shape{1}, nil
}

// sameRows checks anchor and vectors of a contrastive loss and gives their widths.
func sameRows(in []tensor.Shape) ([]int, error) {
	if len(in) < 2 {
		return nil, fmt.Errorf("want an anchor and at least one vector, got %v", in)
	}
	dims := make([]int, len(in))
	for i, s := range in {
		if len(s) != 2 || s[0] != in[0][0] {
			return nil, fmt.Errorf("input %d has shape %v, the anchor %v", i, s, in[0])
		}
		dims[i] = s[1]
	}
	return dims, nil
}

// Forward implements Func.
func (s *Similarity) Forward(out []float32, in [][]float32) {
	var loss float64
	for k := range s.vector {
		n := len(s.Rows[k])
		if n < 2 {
			continue
		}
		s.anchor.set(in[0], s.dims[0], s.Rows[k])
		v := &s.vector[k]
		v.set(in[k+1], s.dims[k+1], s.Rows[k])
		var sum float64
		v.diff = grow64(v.diff, n*n)
		for i := range n {
			for j := range n {
				v.diff[i*n+j] = 0
				if i != j {
					d := dot64(v.row(i), v.row(j)) - dot64(s.anchor.row(i), s.anchor.row(j))
					v.diff[i*n+j] = d
					sum += d * d
				}
			}
		}
		loss += 4 * sum / float64(n*(n-1))
	}
	out[0] = float32(loss / float64(len(s.vector)))
}

// Backward implements Func. The anchor is data: it has no gradient.
func (s *Similarity) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	clear(grads[0])
	for k := range s.vector {
		out := grads[k+1]
		if out == nil {
			continue
		}
		clear(out)
		n := len(s.Rows[k])
		if n < 2 {
			continue
		}
		// Each pair counts twice in the sum and is a product of both rows: 4 * 2 * 2.
		g := 16 * float64(grad[0]) / float64(n*(n-1)*len(s.vector))
		v := &s.vector[k]
		v.grad = grow64(v.grad, n*v.dim)
		clear(v.grad)
		for i := range n {
			for j := range n {
				axpy64(v.grad[i*v.dim:][:v.dim], g*v.diff[i*n+j], v.row(j))
			}
		}
		v.back(out, s.Rows[k])
	}
}

// centred holds rows of a matrix, centred on their mean and scaled to unit length, in float64.
type centred struct {
	dim        int
	unit, norm []float64
	diff, grad []float64
	mean       []float64
}

// leastPart is the share of a vector that must be left after centring; less is taken for a batch of equal vectors.
const leastPart = 1e-6

func (c *centred) row(i int) []float64 { return c.unit[i*c.dim:][:c.dim] }

func (c *centred) set(x []float32, dim int, rows []int32) {
	n := len(rows)
	c.dim, c.unit, c.norm = dim, grow64(c.unit, n*dim), grow64(c.norm, n)
	for j := range dim {
		var mean float64
		for _, r := range rows {
			mean += float64(x[int(r)*dim+j])
		}
		mean /= float64(n)
		for i, r := range rows {
			c.unit[i*dim+j] = float64(x[int(r)*dim+j]) - mean
		}
	}
	for i, r := range rows {
		row := c.row(i)
		c.norm[i] = math.Sqrt(dot64(row, row))
		var whole float64
		for _, v := range x[int(r)*dim:][:dim] {
			whole += float64(v) * float64(v)
		}
		if c.norm[i] <= leastPart*math.Sqrt(whole) {
			// What is left is rounding, and its direction means nothing: no similarity, and no gradient.
			c.norm[i] = math.Inf(1)
		}
		for j := range row {
			row[j] /= c.norm[i]
		}
	}
}

// back carries grad through scaling and centring, and adds it to the rows of out.
func (c *centred) back(out []float32, rows []int32) {
	c.mean = grow64(c.mean, c.dim)
	mean := c.mean
	clear(mean)
	for i := range rows {
		g := c.grad[i*c.dim:][:c.dim]
		unitBack(g, c.row(i), c.norm[i])
		axpy64(mean, 1/float64(len(rows)), g)
	}
	for i, r := range rows {
		g, o := c.grad[i*c.dim:][:c.dim], out[int(r)*c.dim:][:c.dim]
		for j, v := range g {
			o[j] += float32(v - mean[j])
		}
	}
}

// unitBack turns the gradient of unit = x/norm into that of x.
func unitBack(g, unit []float64, norm float64) {
	along := dot64(g, unit)
	for j, u := range unit {
		g[j] = (g[j] - along*u) / norm
	}
}

func grow64(x []float64, n int) []float64 {
	if cap(x) < n {
		return make([]float64, n)
	}
	return x[:n]
}

func dot64(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func axpy64(y []float64, a float64, x []float64) {
	for i, v := range x {
		y[i] += a * v
	}
}
