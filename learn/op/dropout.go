package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Noise makes dropout masks. A mask depends on *Seed and Index alone, so it is the same on every machine and for every
// GOMAXPROCS. The zero value drops nothing.
type Noise struct {
	Rate  float64
	Seed  *uint64 // read on every Forward; shared by the ops of a graph
	Index uint64  // of the op in its graph
	mask  kernel.Mask
}

func (n *Noise) active() bool { return n.Rate > 0 && n.Seed != nil }

// draw makes the mask of this Forward.
func (n *Noise) draw() { n.mask = kernel.NewMask(n.Rate, *n.Seed, n.Index) }

// Dropout zeroes elements at random and scales the others to keep the mean. Input: x of any shape.
type Dropout struct{ Noise }

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
	d.draw()
	kernel.Dropout(out, in[0], d.mask)
}

// Backward implements Func.
func (d *Dropout) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	kernel.Dropout(grads[0], grad, d.mask)
}
