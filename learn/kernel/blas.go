package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// BLAS is Gonum's implementation with Gemm in place of its Sgemm. It serves as gorgonia.Use(kernel.BLAS{}) or blas32.Use(kernel.BLAS{}).
type BLAS struct {
	gonum.Implementation
}

var _ blas.Float32 = BLAS{}

// Sgemm computes C = alpha*op(A)*op(B) + beta*C. See Gemm.
func (BLAS) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	Gemm(tA != blas.NoTrans, tB != blas.NoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}
