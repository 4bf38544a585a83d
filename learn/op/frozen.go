package op

import "github.com/mlecs/mlecs/learn/kernel"

// times computes y = x W + beta y for x [n, rows], with W in frozen if that is not nil.
func times(y, x, w []float32, frozen *kernel.Frozen, n, rows, cols int, beta float32) {
	if frozen != nil {
		kernel.GemmFrozen(false, n, 1, x, rows, frozen, beta, y, cols)
		return
	}
	kernel.Gemm(false, false, n, cols, rows, 1, x, rows, w, cols, beta, y, cols)
}

// timesTransposed computes y = x W^T + beta y for x [n, cols].
func timesTransposed(y, x, w []float32, frozen *kernel.Frozen, n, rows, cols int, beta float32) {
	if frozen != nil {
		kernel.GemmFrozen(true, n, 1, x, cols, frozen, beta, y, rows)
		return
	}
	kernel.Gemm(false, true, n, rows, cols, 1, x, cols, w, cols, beta, y, rows)
}

// Logits computes x head^T, [n, vocab], of hidden states x [n, dim].
func Logits(logits, x []float32, head *kernel.Frozen) {
	vocab, dim := head.Size()
	timesTransposed(logits, x, nil, head, len(x)/dim, vocab, dim, 0)
}
