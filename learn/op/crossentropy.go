package op

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Head computes the logits h[at] W^T of chosen positions only, and carries their gradient back. W [vocab, dim] is the token
// embedding where the two are tied.
type Head struct {
	// Frozen, if not nil, is W; the input is then not read.
	Frozen *kernel.Frozen

	dim, vocab int

	rows, logits, drows []float32
}

func (h *Head) shape(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) != 2 || len(in[0]) != 2 || len(in[1]) != 2 || in[0][1] != in[1][1] {
		return nil, fmt.Errorf("want hidden [n, dim] and head [vocab, dim], got %v", in)
	}
	h.dim, h.vocab = in[0][1], in[1][0]
	return tensor.Shape{1}, nil
}

func (h *Head) forward(at []int32, hidden, w []float32) []float32 {
	m := len(at)
	rows, logits := sized(&h.rows, m*h.dim), sized(&h.logits, m*h.vocab)
	for i, a := range at {
		copy(rows[i*h.dim:][:h.dim], hidden[int(a)*h.dim:])
	}
	enter()
	timesTransposed(logits, rows, w, h.Frozen, m, h.vocab, h.dim, 0)
	h.leave(partFrozen, partTrained, m)
	return logits
}

// leave ends a part that was a product of m rows.
func (h *Head) leave(frozen, trained part, m int) {
	p, weights := trained, int64(4*h.vocab*h.dim)
	if h.Frozen != nil {
		p, weights = frozen, h.Frozen.Read()
	}
	leave(p, 2*m*h.vocab*h.dim, weights, m*(h.vocab+h.dim))
}

// backward carries the gradient of the logits back to the hidden states and w, where wanted.
func (h *Head) backward(dhidden, dw, dlogits []float32, at []int32, w []float32) {
	m := len(at)
	if dhidden != nil {
		drows := sized(&h.drows, m*h.dim)
		enter()
		times(drows, dlogits, w, h.Frozen, m, h.vocab, h.dim, 0)
		h.leave(partFrozenGrad, partTrainedGrad, m)
		clear(dhidden)
		for i, a := range at {
			addInto(dhidden[int(a)*h.dim:][:h.dim], drows[i*h.dim:][:h.dim])
		}
	}
	if dw != nil {
		kernel.Gemm(true, false, h.vocab, h.dim, m, 1, dlogits, h.vocab, h.rows, h.dim, 0, dw, h.dim)
	}
}

// CrossEntropy is the mean over the target positions of -log softmax(hidden[At] head^T)[Target].
// Inputs: hidden [n, dim], head [vocab, dim]. Output: [1], 0 without targets.
type CrossEntropy struct {
	At     []int32 // rows of hidden
	Target []int32 // token ids, one per position
	Head
}

func (c *CrossEntropy) String() string { return "cross-entropy" }

// Shape implements Func.
func (c *CrossEntropy) Shape(in []tensor.Shape) (tensor.Shape, error) { return c.shape(in) }

// Forward implements Func. It leaves the probabilities in the place of the logits for Backward.
func (c *CrossEntropy) Forward(out []float32, in [][]float32) {
	logits := c.forward(c.At, in[0], in[1])
	enter()
	var loss float64
	for i, id := range c.Target {
		row := logits[i*c.vocab:][:c.vocab]
		chosen := row[id]
		loss += float64(kernel.LogSumExp(row, row)) - float64(chosen)
		var sum float32 // of exp(row - max), which LogSumExp leaves
		for _, v := range row {
			sum += v
		}
		kernel.Scale(1/sum, row)
	}
	out[0] = float32(loss / float64(max(1, len(c.Target))))
	leave(partLoss, 20*len(logits), 0, 2*len(logits))
}

// Backward implements Func.
func (c *CrossEntropy) Backward(grads [][]float32, grad []float32, in [][]float32, _ []float32) {
	probs := c.logits[:len(c.At)*c.vocab]
	enter()
	g := grad[0] / float32(max(1, len(c.Target)))
	for i, id := range c.Target {
		row := probs[i*c.vocab:][:c.vocab]
		row[id]--
		for j := range row {
			row[j] *= g
		}
	}
	leave(partLoss, len(probs), 0, 2*len(probs))
	c.backward(grads[0], grads[1], probs, c.At, in[1])
}
