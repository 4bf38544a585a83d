package op

import "github.com/mlecs/mlecs/learn/kernel"

// Packed is a frozen matrix W [rows, cols] prepared for products with it from both sides, x W and y W^T. It takes twice the
// memory of W, saves rearranging W in every product, and may be shared by any number of graphs.
type Packed struct {
	plain, transposed *kernel.Packed
}

// Pack prepares w. It does not refer to w afterwards.
func Pack(w []float32, rows, cols int) *Packed {
	return &Packed{
		plain:      kernel.Pack(false, rows, cols, w, cols),
		transposed: kernel.Pack(true, cols, rows, w, cols),
	}
}

// times computes y = x W + beta y for x [n, rows], with W's packed form if there is one.
func times(y, x, w []float32, p *Packed, n, rows, cols int, beta float32) {
	if p != nil {
		kernel.GemmPacked(false, n, cols, rows, 1, x, rows, p.plain, beta, y, cols)
		return
	}
	kernel.Gemm(false, false, n, cols, rows, 1, x, rows, w, cols, beta, y, cols)
}

// timesTransposed computes y = x W^T + beta y for x [n, cols].
func timesTransposed(y, x, w []float32, p *Packed, n, rows, cols int, beta float32) {
	if p != nil {
		kernel.GemmPacked(false, n, rows, cols, 1, x, cols, p.transposed, beta, y, rows)
		return
	}
	kernel.Gemm(false, true, n, rows, cols, 1, x, cols, w, cols, beta, y, rows)
}

// Logits computes x head^T, [n, vocab], of hidden states x [n, dim], with the head's packed form if there is one.
func Logits(logits, x, head []float32, p *Packed, dim int) {
	n := len(x) / dim
	timesTransposed(logits, x, head, p, n, len(logits)/n, dim, 0)
}
