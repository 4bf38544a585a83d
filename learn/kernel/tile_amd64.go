package kernel

import "golang.org/x/sys/cpu"

// available lists the micro-kernels that this processor and its operating system can run, best first.
func available() []tiles {
	var list []tiles
	x := &cpu.X86
	if x.HasAVX2 && x.HasFMA {
		avx2 := tiles{name: "AVX2", rows: 6, cols: 16, isa: isaAVX2}
		if x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512BW && x.HasBMI2 {
			list = append(list, tiles{name: "AVX-512", rows: 12, cols: 32, isa: isaAVX512, narrow: &avx2})
		}
		list = append(list, avx2)
	}
	return append(list, portable)
}

// run computes C = alpha*A*B + beta*C for one tile of C of rows x cols. The element (i, p) of A is a[i*arow + p*acol]; row
// p of B begins at b[p*brow] and has t.cols elements, of which those beyond cols do not matter. Sizes are positive.
func (t *tiles) run(rows, cols, k int, alpha float32, a []float32, arow, acol int, b []float32, brow int, beta float32, c []float32, ldc int) {
	if t.narrow != nil && cols <= t.narrow.cols {
		t.narrow.runLow(rows, cols, k, alpha, a, arow, acol, b, brow, beta, c, ldc)
		return
	}
	// The assembly checks nothing: these are the last elements that it touches.
	_ = a[(rows-1)*arow+(k-1)*acol]
	_ = b[(k-1)*brow+t.cols-1]
	_ = c[(rows-1)*ldc+cols-1]
	switch t.isa {
	case isaAVX512:
		tileAVX512(rows, cols, k, alpha, &a[0], arow, acol, &b[0], brow, beta, &c[0], ldc)
	case isaAVX2:
		tileAVX2(rows, cols, k, alpha, &a[0], arow, acol, &b[0], brow, beta, &c[0], ldc)
	default:
		tilePortable(rows, cols, k, alpha, a, arow, acol, b, brow, beta, c, ldc)
	}
}

// runLow computes a tile that is higher than the micro-kernel's, in parts.
func (t *tiles) runLow(rows, cols, k int, alpha float32, a []float32, arow, acol int, b []float32, brow int, beta float32, c []float32, ldc int) {
	parts := (rows + t.rows - 1) / t.rows
	for i := range parts {
		i0, i1 := i*rows/parts, (i+1)*rows/parts
		t.run(i1-i0, cols, k, alpha, a[i0*arow:], arow, acol, b, brow, beta, c[i0*ldc:], ldc)
	}
}

func transpose(dst []float32, dstRow int, src []float32, srcRow, blocks int) {
	if active.isa == isaPortable {
		transposePortable(dst, dstRow, src, srcRow, blocks)
		return
	}
	_ = dst[(8*blocks-1)*dstRow+7]
	_ = src[7*srcRow+8*blocks-1]
	transposeAVX2(&dst[0], dstRow, &src[0], srcRow, blocks)
}
