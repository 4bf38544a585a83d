package kernel

import "fmt"

// Frozen is a matrix W [rows, cols] that is read often and never written, such as a weight of a backbone. It is stored once, as its
// DType says, and serves products with W and with its transpose: these widen a block at a time to float32, in the cache, and sum in
// float32. It may be used by many goroutines at a time.
type Frozen struct {
	rows, cols int
	dtype      DType
	full       []float32
	half       []uint16
	bytes      []int8
	scales     []float32   // of bytes: rows of groups() elements
	packed     *Packed     // W, or if transposed its transpose, once more
	straight   *bytePanels // W, for products of bytes
	turned     *bytePanels // and its transpose
	transposed bool
}

// Freeze stores w, in row-major order. As Float32 it refers to w, which must not change; in other types it does not.
func Freeze(d DType, rows, cols int, w []float32) *Frozen {
	if rows < 0 || cols < 0 || len(w) < rows*cols {
		panic(fmt.Sprintf("kernel: a matrix of %d x %d in %d elements", rows, cols, len(w)))
	}
	f := &Frozen{rows: rows, cols: cols, dtype: d}
	w = w[:rows*cols]
	switch d {
	case Float32:
		f.full = w
	case BFloat16:
		f.half = make([]uint16, len(w))
		Parallel(len(w), sweepGrain, func(lo, hi int) {
			for i, v := range w[lo:hi] {
				f.half[lo+i] = roundBFloat16(v)
			}
		})
	case Int8:
		f.bytes, f.scales = make([]int8, len(w)), make([]float32, rows*f.groups())
		Parallel(rows, 1+sweepGrain/max(1, cols), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				for j := 0; j < cols; j += scaleGroup {
					at, end := i*cols+j, i*cols+min(j+scaleGroup, cols)
					f.scales[i*f.groups()+j/scaleGroup] = roundInt8(f.bytes[at:end], w[at:end])
				}
			}
		})
	case W8A8:
		f.straight, f.turned = newBytePanels(false, rows, cols, w, cols), newBytePanels(true, cols, rows, w, cols)
	}
	return f
}

// Packed gives f with what makes the products with W or, if trans, its transpose faster. For a Float32 that is a second copy of W; in
// other types f is the result.
func (f *Frozen) Packed(trans bool) *Frozen {
	if f.dtype != Float32 {
		return f
	}
	k, n := f.rows, f.cols
	if trans {
		k, n = n, k
	}
	packed := *f
	packed.packed, packed.transposed = Pack(trans, k, n, f.full, f.cols), trans
	return &packed
}

func (f *Frozen) groups() int { return (f.cols + scaleGroup - 1) / scaleGroup }

// Size gives the rows and columns.
func (f *Frozen) Size() (rows, cols int) { return f.rows, f.cols }

// DType tells how f is stored.
func (f *Frozen) DType() DType { return f.dtype }

// Bytes is the memory that f takes.
func (f *Frozen) Bytes() int64 {
	n := 4*int64(len(f.full)) + 2*int64(len(f.half)) + int64(len(f.bytes)) + 4*int64(len(f.scales))
	if f.packed != nil {
		n += 4 * int64(len(f.packed.panels))
	}
	for _, p := range []*bytePanels{f.straight, f.turned} {
		if p != nil {
			n += int64(len(p.bytes)) + 4*int64(len(p.scales))
		}
	}
	return n
}

// Read is how many bytes a product reads.
func (f *Frozen) Read() int64 {
	if f.packed != nil || f.dtype == W8A8 {
		return f.Bytes() / 2
	}
	return f.Bytes()
}

// Row writes row i, in float32, to dst.
func (f *Frozen) Row(dst []float32, i int) {
	checkLen("the row's destination", len(dst), f.cols)
	if f.dtype == W8A8 {
		f.turned.column(dst[:f.cols], i)
		return
	}
	f.widen(flat(dst, f.cols, f.cols), i, 0, 1, f.cols)
}

// GemmFrozen is Gemm with a frozen op(B) = W or, if transB, its transpose.
func GemmFrozen(transB bool, m int, alpha float32, a []float32, lda int, w *Frozen, beta float32, c []float32, ldc int) {
	k, n := w.rows, w.cols
	if transB {
		k, n = n, k
	}
	if w.packed != nil && w.transposed == transB {
		GemmPacked(false, m, n, k, alpha, a, lda, w.packed, beta, c, ldc)
		return
	}
	if !checkProduct(m, n, k, c, ldc) {
		return
	}
	av := view("A", false, m, k, a, lda)
	switch {
	case w.dtype != W8A8:
		multiplyFrozen(m, n, k, alpha, av, w, transB, beta, c, ldc)
	case transB:
		multiplyBytes(m, alpha, a, lda, w.turned, beta, c, ldc)
	default:
		multiplyBytes(m, alpha, a, lda, w.straight, beta, c, ldc)
	}
}

// widen writes columns [j, j+cols) of rows [i, i+rows) to the panels.
func (f *Frozen) widen(dst panels, i, j, rows, cols int) {
	if rows == 0 || cols == 0 {
		return
	}
	at := i*f.cols + j
	switch f.dtype {
	case Float32:
		widenFloats(dst, f.full[at:], f.cols, rows, cols)
	case BFloat16:
		widenHalves(dst, f.half[at:], f.cols, rows, cols)
	case Int8:
		for from := 0; from < cols; {
			g := (j + from) / scaleGroup
			to := min(cols, (g+1)*scaleGroup-j)
			widenBytes(dst.at(from), f.bytes[at+from:], f.cols, rows, to-from, f.scales[i*f.groups()+g:], f.groups())
			from = to
		}
	}
}

// pack writes k rows from k0 on of columns [j0, j1) of op(W) as packPanels does. spare has room for 8 rows of k elements.
func (f *Frozen) pack(t *tiles, dst []float32, trans bool, k0, k, j0, j1 int, spare []float32) {
	if !trans {
		f.widen(panels{dst, t.cols, k * t.cols, t.cols}, k0, j0, k, j1-j0)
	}
	for j := j0; j < j1; j += t.cols {
		cols := min(t.cols, j1-j)
		panel := dst[:k*t.cols]
		dst = dst[k*t.cols:]
		switch {
		case !trans:
		case f.dtype == Float32:
			transposeColumns(panel, t.cols, f.full[j*f.cols+k0:], f.cols, k, cols)
		default:
			for c := 0; c < cols; c += 8 {
				rows := min(8, cols-c)
				f.widen(flat(spare, k, k), j+c, k0, rows, k)
				transposeColumns(panel[c:], t.cols, spare, k, k, rows)
			}
		}
		clearColumns(panel, t.cols, cols)
	}
}
