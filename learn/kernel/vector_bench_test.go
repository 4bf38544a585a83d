package kernel_test

import (
	"runtime"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
)

// BenchmarkVector reports the time per element of the vector functions on one thread, for 128 rows of 256 elements.
func BenchmarkVector(b *testing.B) {
	const rows, cols = 128, 256
	x, y, z := values(1, rows*cols, 3), values(2, rows*cols, 1), make([]float32, rows*cols)
	m, v := make([]float32, rows*cols), make([]float32, rows*cols)
	gain, bias, mean, scale := values(3, cols, 1), values(4, cols, 1), make([]float32, rows), make([]float32, rows)
	kernel.LayerNorm(rows, cols, 1e-5, x, gain, bias, z, mean, scale)
	adam := kernel.AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, Scale: 1}
	for _, f := range []struct {
		name string
		run  func()
	}{
		{"exp", func() { kernel.Exp(z, x) }},
		{"gelu", func() { kernel.GELU(z, x) }},
		{"geluGrad", func() { kernel.GELUGrad(z, x, y) }},
		{"softmax", func() { kernel.Softmax(z, x) }},
		{"softmaxGrad", func() { kernel.SoftmaxGrad(z, x, y) }},
		{"layerNorm", func() { kernel.LayerNorm(rows, cols, 1e-5, x, gain, bias, z, mean, scale) }},
		{"layerNormGrad", func() { kernel.LayerNormGrad(rows, cols, x, gain, mean, scale, y, z, m[:cols], v[:cols]) }},
		{"adamw", func() { adam.Update(1, z, y, m, v) }},
		{"addScaled", func() { kernel.AddScaled(1, x, z) }},
		{"dot", func() { kernel.Dot(x, y) }},
	} {
		for _, kind := range kernel.Kernels() {
			b.Run(f.name+"/"+kind, func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				defer kernel.UseKernel(kind)()
				b.ReportAllocs()
				clear(m)
				clear(v)
				for b.Loop() {
					f.run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(rows*cols), "ns/element")
			})
		}
	}
}
