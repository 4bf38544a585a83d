package op

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/tensor"
)

// Noise makes dropout masks. A mask depends on *Seed and Index alone, so it is the same on every machine and for every
// GOMAXPROCS. The zero value drops nothing.
type Noise struct {
	Rate  float64
	Seed  *uint64 // read on every Forward; shared by the ops of a graph
	Index uint64  // of the op in its graph
	pcg   rand.PCG
}

func (n *Noise) active() bool { return n.Rate > 0 && n.Seed != nil }

// fill writes 0 with probability Rate (in steps of 2^-16) and 1/(1-Rate) otherwise to mask.
func (n *Noise) fill(mask []float32) {
	n.pcg.Seed(*n.Seed, n.Index)
	limit := uint64(n.Rate * 65536)
	keep := float32(65536 / float64(65536-limit))
	var bits uint64
	for i := range mask {
		if i%4 == 0 {
			bits = n.pcg.Uint64()
		}
		if bits&0xffff < limit {
			mask[i] = 0
		} else {
			mask[i] = keep
		}
		bits >>= 16
	}
}

// Dropout zeroes elements at random and scales the others to keep the mean. Input: x of any shape.
type Dropout struct {
	Noise

	mask []float32
}

func (d *Dropout) String() string { return "dropout" }

// Shape implements Func.
func (d *Dropout) Shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("has %d inputs, want 1", len(in))
	}
	return in[0], nil
}

// Forward implements Func.
func (d *Dropout) Forward(out []float32, in [][]float32) {
	mask := sized(&d.mask, len(out))
	d.fill(mask)
	for i, m := range mask {
		out[i] = m * in[0][i]
	}
}

// Backward implements Func.
func (d *Dropout) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for i, m := range d.mask[:len(grad)] {
		grads[0][i] = m * grad[i]
	}
}
