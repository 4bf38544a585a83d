package kernel_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
)

func TestParallelCoversEveryIndexOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 4} {
		old := runtime.GOMAXPROCS(threads)
		for _, n := range []int{0, 1, 7, 100, 1000} {
			for _, grain := range []int{0, 1, 3, 100, 5000} {
				seen := make([]atomic.Int32, n)
				kernel.Parallel(n, grain, func(lo, hi int) {
					if hi-lo > max(grain, 1) || lo%max(grain, 1) != 0 {
						t.Errorf("range [%d,%d) with grain %d", lo, hi, grain)
					}
					for i := lo; i < hi; i++ {
						seen[i].Add(1)
					}
				})
				for i := range seen {
					if c := seen[i].Load(); c != 1 {
						t.Fatalf("threads %d, n %d, grain %d: index %d was handled %d times", threads, n, grain, i, c)
					}
				}
			}
		}
		runtime.GOMAXPROCS(old)
	}
}

func TestParallelNests(t *testing.T) {
	var sum atomic.Int64
	kernel.Parallel(50, 1, func(lo, hi int) {
		kernel.Parallel(20, 1, func(l, h int) { sum.Add(int64(h - l)) })
	})
	if sum.Load() != 1000 {
		t.Fatalf("%d of 1000 done", sum.Load())
	}
}

func TestParallelLeavesNoGoroutineAndPassesPanicsOn(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		func() {
			defer func() {
				if v := recover(); v != "of the task" {
					t.Errorf("recovered %v", v)
				}
			}()
			kernel.Parallel(64, 1, func(lo, hi int) { panic("of the task") })
		}()
	}
	kernel.Parallel(64, 1, func(lo, hi int) {})
	// A helper reports that it is done an instant before it is gone.
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i > 1_000_000 {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}
