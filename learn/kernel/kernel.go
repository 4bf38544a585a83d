// Package kernel holds SGEMM and vector math in float32. It knows nothing of Gorgonia.
package kernel

// Gemm computes C = alpha*op(A)*op(B) + beta*C in row-major order; op(A) is m x k, op(B) is k x n.
// Results do not depend on the number of threads.
func Gemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	for i := 0; i < m; i++ {
		row := c[i*ldc : i*ldc+n]
		for j := range row {
			row[j] *= beta
		}
		for p := 0; p < k; p++ {
			var x float32
			if transA {
				x = a[p*lda+i]
			} else {
				x = a[i*lda+p]
			}
			x *= alpha
			if transB {
				for j := range row {
					row[j] += x * b[j*ldb+p]
				}
			} else {
				bp := b[p*ldb : p*ldb+n]
				for j, v := range bp {
					row[j] += x * v
				}
			}
		}
	}
}
