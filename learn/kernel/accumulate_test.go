package kernel_test

import (
	"math"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
)

// Aggregates are recomputed on other machines: sums have the bits of the definition on every kernel, for every length and number of slices.
func TestAddWeightedIsTheDefinitionToTheBit(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 100} {
			for count := range 10 {
				var xs [][]float32
				var w []float64
				sums := make([]float64, n)
				for i, v := range values(1, n, 10) {
					sums[i] = float64(v) / 3
				}
				want := slices.Clone(sums)
				for k := range count {
					x := values(uint64(k), n+k, 1e3)
					xs, w = append(xs, x), append(w, 1/float64(k+3))
					for i := range want {
						product := float64(w[k] * float64(x[i]))
						want[i] += product
					}
				}
				kernel.AddWeighted(sums, xs, w)
				if !slices.Equal(sums, want) {
					t.Fatalf("%d slices of %d elements: other bits", count, n)
				}
			}
		}
	})
}

func TestQuotientsAreTheDefinitionToTheBit(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for n := range 20 {
			dividends := make([]float64, n)
			for i, v := range values(2, n, 10) {
				dividends[i] = float64(v) / 3
			}
			special := []float64{0, math.Copysign(0, -1), 1e-44, math.SmallestNonzeroFloat64, -math.MaxFloat64, math.Inf(1), 3 * (1 + 0x1p-24)}
			for i := range n - 3 {
				dividends[i+3] = special[i%len(special)]
			}
			got := make([]float32, n+1)
			kernel.Quotients(got, dividends, 3)
			for i, v := range dividends {
				if want := float32(v / 3); math.Float32bits(got[i]) != math.Float32bits(want) {
					t.Errorf("%d elements: %v / 3 is %v, want %v", n, v, got[i], want)
				}
			}
			if got[n] != 0 {
				t.Errorf("%d elements: written beyond the end", n)
			}
		}
	})
}

func TestAllFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	kerneltest.Each(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 7, 8, 9, 31, 64} {
			x := append(values(3, n, math.MaxFloat32), math.MaxFloat32, -math.MaxFloat32, 0, math.SmallestNonzeroFloat32)
			if !kernel.AllFinite(x) {
				t.Fatalf("%v are not finite", x)
			}
			for i := range x {
				for _, bad := range []float32{inf, -inf, float32(math.NaN()), math.Float32frombits(0xffc00001)} {
					y := slices.Clone(x)
					y[i] = bad
					if kernel.AllFinite(y) {
						t.Errorf("%v at %d of %d is finite", bad, i, len(y))
					}
				}
			}
		}
	})
}

func TestDequantise(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		var steps []byte
		for q := -128; q <= 127; q++ {
			steps = append(steps, byte(q))
		}
		for n := range len(steps) {
			x := make([]float32, n+1)
			kernel.Dequantise(x, steps[:n], 0.375)
			for i, q := range steps[:n] {
				if x[i] != 0.375*float32(int8(q)) {
					t.Fatalf("length %d: %d steps are %v", n, q, x[i])
				}
			}
			if x[n] != 0 {
				t.Fatalf("length %d: written beyond the end", n)
			}
		}
	})
}
