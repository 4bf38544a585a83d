//go:build !amd64 && !arm64

package kernel

func available() []tiles { return []tiles{portable} }

// run computes one tile of C; see its amd64 form.
func (t *tiles) run(rows, cols, k int, alpha float32, a []float32, arow, acol int, b []float32, brow int, beta float32, c []float32, ldc int) {
	tilePortable(rows, cols, k, alpha, a, arow, acol, b, brow, beta, c, ldc)
}

func transpose(dst []float32, dstRow int, src []float32, srcRow, blocks int) {
	transposePortable(dst, dstRow, src, srcRow, blocks)
}
