package kernel

// Packed is an op(B) laid out as the micro-kernel of this machine reads it. It is immutable and may be used by many
// goroutines at a time. It is for matrices that are used often, such as frozen weights.
type Packed struct {
	k, n   int
	tiles  *tiles
	panels []float32 // see packPanels
}

// Pack prepares op(B), k x n, for GemmPacked. The result does not refer to b. To use the weights in both directions,
// x*W and dy*transpose(W), pack them twice.
func Pack(trans bool, k, n int, b []float32, ldb int) *Packed {
	if k < 0 || n < 0 {
		panic("kernel: negative size of a matrix to pack")
	}
	v := view("B", trans, k, n, b, ldb)
	t := active.forColumns(n)
	p := &Packed{k: k, n: n, tiles: t, panels: make([]float32, panelLen(t, k, n))}
	packPanels(t, p.panels, v, k, 0, n)
	return p
}

// panelLen is the number of elements of a k x n matrix in panels.
func panelLen(t *tiles, k, n int) int {
	return k * ((n + t.cols - 1) / t.cols) * t.cols
}

// packPanels copies columns [j0, j1) of the k-row matrix b to dst as panels of t.cols columns, one after the other.
// Within a panel each row is contiguous. Missing columns of the last panel become zeros.
func packPanels(t *tiles, dst []float32, b matrix, k, j0, j1 int) {
	if k == 0 {
		return
	}
	for j := j0; j < j1; j += t.cols {
		cols := min(t.cols, j1-j)
		packPanel(dst[:k*t.cols], t.cols, b.data[j*b.col:], b.row, b.col, k, cols)
		dst = dst[k*t.cols:]
	}
}

// packPanel copies a k x cols matrix with the given strides to dst as k rows of width elements, the last of them zero.
// Either the rows or the columns of the matrix are contiguous.
func packPanel(dst []float32, width int, src []float32, row, col, k, cols int) {
	if col == 1 {
		for p := range k {
			d := dst[p*width : (p+1)*width]
			clear(d[copy(d, src[p*row:p*row+cols]):])
		}
		return
	}
	transposeColumns(dst, width, src, col, k, cols)
	clearColumns(dst, width, cols)
}

// transposeColumns copies a k x cols matrix whose columns are contiguous, col elements apart, to rows width elements apart.
func transposeColumns(dst []float32, width int, src []float32, col, k, cols int) {
	// Blocks of 8 columns and 8 rows, as far as they go.
	j := 0
	for ; k >= 8 && cols-j >= 8; j += 8 {
		transpose(dst[j:], width, src[j*col:], col, k/8)
		transposeRest(dst, width, src, col, j, j+8, k&^7, k)
	}
	transposeRest(dst, width, src, col, j, cols, 0, k)
}

// clearColumns clears the columns from cols on of a panel.
func clearColumns(panel []float32, width, cols int) {
	if cols == width {
		return
	}
	for ; len(panel) > 0; panel = panel[width:] {
		clear(panel[cols:width])
	}
}

// transposeRest copies columns [j0, j1) of rows [p0, p1), where the columns of src are contiguous.
func transposeRest(dst []float32, width int, src []float32, col, j0, j1, p0, p1 int) {
	for j := j0; j < j1; j++ {
		s := src[j*col:][:p1]
		for p := p0; p < p1; p++ {
			dst[p*width+j] = s[p]
		}
	}
}

// transposePortable copies 8 rows of 8*blocks elements, srcRow apart, to 8*blocks rows of 8, dstRow apart.
func transposePortable(dst []float32, dstRow int, src []float32, srcRow, blocks int) {
	for p := range 8 * blocks {
		d := dst[p*dstRow:][:8]
		for j := range d {
			d[j] = src[j*srcRow+p]
		}
	}
}
