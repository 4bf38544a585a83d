package kernel_test

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
)

// TestDropoutMasks: a mask has the rate, keeps the mean, and is the same on every kernel and for every number of threads.
func TestDropoutMasks(t *testing.T) {
	const n = 300_000
	ones := slices.Repeat([]float32{1}, n)
	var first []float32
	kerneltest.Each(t, func(t *testing.T) {
		for _, threads := range []int{1, 2} {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
			mask := make([]float32, n)
			kernel.Dropout(mask, ones, kernel.NewMask(0.1, 7, 3))
			if first == nil {
				first = mask
			}
			if !slices.Equal(mask, first) {
				t.Fatalf("the mask differs on %d threads", threads)
			}
		}
	})
	var sum float64
	for _, v := range first {
		if v != 0 && math.Abs(float64(v)-1/0.9) > 1e-6 {
			t.Fatalf("scale %g", v)
		}
		sum += float64(v)
	}
	if math.Abs(sum/n-1) > 0.005 {
		t.Errorf("mean %g", sum/n)
	}
}

// TestDropoutIsRandom: neighbours, elements a power of two apart, and masks of other seeds and streams agree as often as chance has it.
func TestDropoutIsRandom(t *testing.T) {
	const n = 1 << 16
	ones := slices.Repeat([]float32{1}, n)
	draw := func(seed, stream uint64) []float32 {
		mask := make([]float32, n)
		kernel.Dropout(mask, ones, kernel.NewMask(0.5, seed, stream))
		return mask
	}
	mask := draw(0, 1)
	others := map[string][]float32{"seed": draw(1, 1), "stream": draw(0, 2), "seed and stream": draw(1, 0), "far seed": draw(1<<40, 1)}
	for _, distance := range []int{1, 2, 3, 4, 8, 64, 512, 4096} {
		others[fmt.Sprint("distance ", distance)] = append(slices.Clone(mask[distance:]), mask[:distance]...)
	}
	for name, other := range others {
		agree := 0
		for i := range mask {
			if mask[i] == other[i] {
				agree++
			}
		}
		if share := float64(agree) / n; math.Abs(share-0.5) > 0.012 { // six standard deviations
			t.Errorf("%s: %.4f agree", name, share)
		}
	}
}

func TestDropoutAdds(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, n := range lengths {
			x, y := values(1, n, 3), values(2, n, 3)
			mask, sum := kernel.NewMask(0.3, 1, 2), slices.Clone(y)
			dropped := make([]float32, n)
			kernel.Dropout(dropped, x, mask)
			kernel.DropoutAdd(sum, x, mask)
			near(t, "sum", sum, 1e-6, func(i int) float64 { return float64(y[i]) + float64(dropped[i]) })
		}
	})
}
