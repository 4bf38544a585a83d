package bench

import (
	"context"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Gemm is the speed of products of float32 matrices with packed weights: [m, k] x [k, n].
type Gemm struct {
	Runs  int        `json:"runs"`
	Sizes []GemmSize `json:"sizes"`
	Machine
}

// GemmSize is the time of one product.
type GemmSize struct {
	M int `json:"m"`
	N int `json:"n"`
	K int `json:"k"`
	Timing
	GFLOPS float64 `json:"gflops"` // at the median
}

// gemmSizes are those that the goals are set for.
var gemmSizes = [][3]int{{512, 256, 256}, {512, 768, 768}, {128, 768, 3072}}

// MeasureGemm repeats each product n times.
func MeasureGemm(ctx context.Context, n int) (Gemm, error) {
	g := Gemm{Runs: n}
	for _, s := range gemmSizes {
		rows, columns, depth := s[0], s[1], s[2]
		a, b, c := ramp(rows*depth), ramp(depth*columns), make([]float32, rows*columns)
		packed := kernel.Pack(false, depth, columns, b, columns)
		t, err := measure(ctx, n, func() error {
			kernel.GemmPacked(false, rows, columns, depth, 1, a, depth, packed, 0, c, columns)
			return nil
		})
		if err != nil {
			return g, err
		}
		g.Sizes = append(g.Sizes, GemmSize{M: rows, N: columns, K: depth, Timing: t, GFLOPS: 2 * float64(rows*columns*depth) / t.Median / 1e6})
	}
	g.Machine = machine()
	return g, nil
}

// ramp is n values between -1 and 1.
func ramp(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i%201)/100 - 1
	}
	return x
}
