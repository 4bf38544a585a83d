package kernel_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
)

// TestAssemblyHasTheSameBitsOnEveryArchitecture: what AVX-512, AVX2 and NEON compute is the same to the last bit, so that nodes of all kinds
// come to the same numbers as far as the rest of their arithmetic lets them. Portable Go rounds in other places.
func TestAssemblyHasTheSameBitsOnEveryArchitecture(t *testing.T) {
	const want = "9c57b4fc75e06b4b"
	for _, name := range kernel.Kernels() {
		if name == "portable" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			defer kernel.UseKernel(name)()
			const rows, cols = 7, 45
			h := sha256.New()
			note := func(x ...float32) {
				if err := binary.Write(h, binary.LittleEndian, x); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range []product{
				newProduct(1, false, false, 29, 37, 500, 0, 1, 0), newProduct(2, true, true, 12, 32, 64, 1, 0.3, 0.7), newProduct(3, false, true, 1, 5, 9, 0, 1, 1),
			} {
				for i, c := 0, p.gemm(); i < p.c.rows; i++ {
					note(c[i*p.c.ld:][:p.c.cols]...)
				}
			}
			x, dy := values(1, rows*cols, 4), values(2, rows*cols, 1)
			y, z := make([]float32, rows*cols), make([]float32, rows*cols)
			gain, bias, mean, scale := values(3, cols, 1), values(4, cols, 1), make([]float32, rows), make([]float32, rows)
			kernel.Exp(y, x)
			note(y...)
			kernel.GELUSlope(y, z, x)
			note(append(y, z...)...)
			kernel.GELUGrad(y, x, dy)
			note(y...)
			gate, up := append([]float32(nil), x...), append([]float32(nil), dy...)
			kernel.SwiGLU(y, gate, up, gate, up)
			note(append(append(y, gate...), up...)...)
			for i := 0; i < len(x); i += cols {
				kernel.Softmax(y[i:][:cols], x[i:])
				kernel.SoftmaxGrad(z[i:][:cols], y[i:], dy[i:])
			}
			note(append(y, z...)...)
			kernel.LayerNorm(rows, cols, 1e-5, x, gain, bias, y, mean, scale)
			dgain, dbias := make([]float32, cols), make([]float32, cols)
			kernel.LayerNormGrad(rows, cols, x, gain, mean, scale, dy, z, dgain, dbias)
			note(append(append(append(y, z...), dgain...), dbias...)...)
			kernel.Dropout(y, x, kernel.NewMask(0.3, 5, 6))
			kernel.DropoutAdd(z, y, kernel.NewMask(0.2, 7, 8))
			note(append(y, z...)...)
			m, v := make([]float32, rows*cols), make([]float32, rows*cols)
			for step := 1; step <= 3; step++ {
				kernel.AdamW{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, Scale: 0.5}.Update(step, x, dy, m, v)
			}
			note(append(append(x, m...), v...)...)
			note(kernel.Dot(x, dy), kernel.Sum(x), kernel.LogSumExp(x, z))
			if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want {
				t.Errorf("results hash to %s, want %s", got, want)
			}
		})
	}
}
