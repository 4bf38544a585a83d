package kernel

import "fmt"

// Gemm computes C = alpha*op(A)*op(B) + beta*C, where op(X) is X or, if trans, its transpose; op(A) is m x k, op(B) is
// k x n and C is m x n. Matrices are in row-major order: row i of a begins at a[i*lda]. With beta = 0 the old C is
// not read. Every element of C is summed in the order of k, so that its bits depend neither on the number of threads
// nor on the other rows and columns.
func Gemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	if !checkProduct(m, n, k, c, ldc) {
		return
	}
	av := view("A", transA, m, k, a, lda)
	bv := view("B", transB, k, n, b, ldb)
	multiply(m, n, k, alpha, av, bv, nil, beta, c, ldc)
}

// GemmPacked is Gemm with an op(B) that Pack has prepared; k and n must be those it was packed with.
func GemmPacked(transA bool, m, n, k int, alpha float32, a []float32, lda int, b *Packed, beta float32, c []float32, ldc int) {
	if k != b.k || n != b.n {
		panic(fmt.Sprintf("kernel: B was packed as %d x %d and is used as %d x %d", b.k, b.n, k, n))
	}
	if !checkProduct(m, n, k, c, ldc) {
		return
	}
	av := view("A", transA, m, k, a, lda)
	multiply(m, n, k, alpha, av, matrix{}, b, beta, c, ldc)
}

// matrix is a view of a slice as a matrix: the element (i, j) is data[i*row + j*col].
type matrix struct {
	data     []float32
	row, col int
}

// view checks that a matrix of the given size, after transposing, lies within data.
func view(name string, trans bool, rows, cols int, data []float32, ld int) matrix {
	v := matrix{data: data, row: ld, col: 1}
	if trans {
		rows, cols = cols, rows
		v.row, v.col = 1, ld
	}
	checkStored(name, rows, cols, data, ld)
	return v
}

func checkStored(name string, rows, cols int, data []float32, ld int) {
	if ld < cols {
		panic(fmt.Sprintf("kernel: rows of %s have %d elements but are stored %d apart", name, cols, ld))
	}
	if rows > 0 && cols > 0 && len(data) < (rows-1)*ld+cols {
		panic(fmt.Sprintf("kernel: %s is %d x %d with rows %d apart, but has only %d elements", name, rows, cols, ld, len(data)))
	}
}

// checkProduct reports whether there is any C to compute.
func checkProduct(m, n, k int, c []float32, ldc int) bool {
	if m < 0 || n < 0 || k < 0 {
		panic(fmt.Sprintf("kernel: negative size in a product m=%d n=%d k=%d", m, n, k))
	}
	checkStored("C", m, n, c, ldc)
	return m > 0 && n > 0
}

// scaleMatrix computes C = beta*C, and clears C if beta is 0.
func scaleMatrix(m, n int, beta float32, c []float32, ldc int) {
	if beta == 1 {
		return
	}
	for i := range m {
		Scale(beta, c[i*ldc:i*ldc+n])
	}
}
