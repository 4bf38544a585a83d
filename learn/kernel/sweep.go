package kernel

import (
	"fmt"
	"sync"
)

// sweepGrain is how many elements of a vector function a thread takes at a time: some ten microseconds.
const sweepGrain = 1 << 16

// sweep is a vector function on its way through Do: the operands of one call, reused so that calls do not allocate.
// What the fields mean is up to run.
type sweep struct {
	run              func(s *sweep, lo, hi int)
	a, b, c, d, e, f []float32
	cols             int
	x                float32
	eps              float64
	adam             adamStep
	mask             Mask
}

var sweeps = sync.Pool{New: func() any { return new(sweep) }}

func (s *sweep) Run(lo, hi int) { s.run(s, lo, hi) }

// do runs the sweep over n indices of weight elements each, and gives s back to the pool.
func (s *sweep) do(n, weight int) {
	Do(n, max(1, sweepGrain/max(1, weight)), s)
	*s = sweep{}
	sweeps.Put(s)
}

func newSweep(run func(s *sweep, lo, hi int)) *sweep {
	s := sweeps.Get().(*sweep)
	s.run = run
	return s
}

func checkLen(what string, got, want int) {
	if got < want {
		panic(fmt.Sprintf("kernel: %s has %d elements, needs %d", what, got, want))
	}
}
