package kernel_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
	"gonum.org/v1/gonum/blas"
)

// BenchmarkGemm reports GFLOP/s of x*W for shapes of small transformers, with Gonum's Sgemm as the baseline.
func BenchmarkGemm(b *testing.B) {
	shapes := []struct{ m, n, k int }{
		{512, 256, 256}, {512, 768, 768}, {192, 64, 64}, {192, 64, 256}, {192, 256, 64}, {512, 8, 256}, {512, 256, 8}, {48, 48, 32}, {1, 256, 256},
	}
	for _, s := range shapes {
		for _, trans := range []string{"NN", "NT", "TN"} {
			p := newProduct(1, trans[0] == 'T', trans[1] == 'T', s.m, s.n, s.k, 0, 1, 0)
			w := kernel.Pack(p.b.trans, s.k, s.n, p.b.data, p.b.ld)
			name := fmt.Sprintf("%dx%dx%d/%s", s.m, s.n, s.k, trans)
			tA, tB := blas.NoTrans, blas.NoTrans
			if p.a.trans {
				tA = blas.Trans
			}
			if p.b.trans {
				tB = blas.Trans
			}
			measure(b, name+"/gonum", s.m*s.n*s.k, func() {
				kernel.BLAS{}.Implementation.Sgemm(tA, tB, s.m, s.n, s.k, 1, p.a.data, p.a.ld, p.b.data, p.b.ld, 0, p.c.data, p.c.ld)
			})
			for _, kind := range kernel.Kernels() {
				restore := kernel.UseKernel(kind)
				measure(b, name+"/"+kind, s.m*s.n*s.k, func() {
					kernel.Gemm(p.a.trans, p.b.trans, s.m, s.n, s.k, 1, p.a.data, p.a.ld, p.b.data, p.b.ld, 0, p.c.data, p.c.ld)
				})
				if kind == kernel.Kernels()[0] && trans != "NT" {
					measure(b, name+"/"+kind+",packed", s.m*s.n*s.k, func() {
						kernel.GemmPacked(p.a.trans, s.m, s.n, s.k, 1, p.a.data, p.a.ld, w, 0, p.c.data, p.c.ld)
					})
				}
				restore()
			}
		}
	}
}

// measure runs f on one thread and on all.
func measure(b *testing.B, name string, multiplications int, f func()) {
	for _, threads := range []int{1, runtime.NumCPU()} {
		b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
			b.ReportMetric(2*float64(multiplications)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}
