package kernel

// available lists the micro-kernels: every processor that Go runs on has NEON.
func available() []tiles {
	return []tiles{{name: "NEON", rows: 12, cols: 8, isa: isaNEON}, portable}
}

// run computes one tile of C; see its amd64 form.
func (t *tiles) run(rows, cols, k int, alpha float32, a []float32, arow, acol int, b []float32, brow int, beta float32, c []float32, ldc int) {
	if t.isa != isaNEON {
		tilePortable(rows, cols, k, alpha, a, arow, acol, b, brow, beta, c, ldc)
		return
	}
	// The assembly checks nothing: these are the last elements that it touches.
	_ = a[(rows-1)*arow+(k-1)*acol]
	_ = b[(k-1)*brow+t.cols-1]
	_ = c[(rows-1)*ldc+cols-1]
	if cols%4 == 0 {
		tileNEON(rows, cols, k, alpha, &a[0], arow, acol, &b[0], brow, beta, &c[0], ldc)
		return
	}
	// Only whole vectors are stored: the tile is computed on the side.
	var edge [12 * 8]float32
	width := (cols + 3) &^ 3
	if beta != 0 {
		for i := range rows {
			copy(edge[i*width:][:cols], c[i*ldc:])
		}
	}
	tileNEON(rows, width, k, alpha, &a[0], arow, acol, &b[0], brow, beta, &edge[0], width)
	for i := range rows {
		copy(c[i*ldc:][:cols], edge[i*width:])
	}
}

func transpose(dst []float32, dstRow int, src []float32, srcRow, blocks int) {
	transposePortable(dst, dstRow, src, srcRow, blocks)
}
