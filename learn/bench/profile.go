package bench

import (
	"context"
	"slices"
	"time"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/op"
)

// Profile says what a training step's time goes to, and what of it each part needs on this machine. Times are the processor's where the
// system tells them, so that a busy machine does little harm; with several threads they are the sum of all.
type Profile struct {
	Peak
	Parts []Part `json:"parts"` // the longest first
}

// Peak is the best that one thread of this machine did.
type Peak struct {
	GFLOPS float64 `json:"peak_gflops"`        // of a product that stays in the cache
	Memory float64 `json:"memory_bytes_per_s"` // of reading what is in no cache
	Cache  float64 `json:"cache_bytes_per_s"`  // of an operation on 1.5 MiB, again and again
}

// Part is one part of a step; all its calls together. Its roofline is the time that its arithmetic takes at the peak, or the transport of its
// weights from memory, or of its activations from the cache, whichever is longest. Products of bytes have none: the peak is of float32.
type Part struct {
	Name     string  `json:"name"`
	Calls    int     `json:"calls"`
	Time     float64 `json:"ms"`
	Roofline float64 `json:"roofline_ms"`
	Bound    string  `json:"bound"` // arithmetic, memory or cache; empty where there is no roofline
	GFLOPS   float64 `json:"gflops"`
}

// measureProfile makes n steps after a warm one.
func measureProfile(ctx context.Context, s *stepper, n int) (*Profile, error) {
	p := &Profile{Peak: measurePeak()}
	meter := op.Meter{Clock: processorTime}
	for i := range n + 1 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		run := meter.Step
		if i == 0 {
			run = func(f func() error) error { return f() }
		}
		if err := run(s.step); err != nil {
			return nil, err
		}
	}
	for _, w := range meter.Parts() {
		part := Part{Name: w.Name, Calls: w.Calls, Time: milliseconds(w.Time)}
		if s.dtype != kernel.W8A8 || !w.Frozen {
			part.Roofline, part.Bound = p.roofline(w)
		}
		if part.Time > 0 {
			part.GFLOPS = w.FLOPs / part.Time / 1e6
		}
		p.Parts = append(p.Parts, part)
	}
	return p, nil
}

func (p *Peak) roofline(w op.Work) (ms float64, bound string) {
	for _, need := range []struct {
		bound string
		ms    float64
	}{{"arithmetic", w.FLOPs / p.GFLOPS / 1e6}, {"memory", w.Weights / p.Memory * 1e3}, {"cache", w.Bytes / p.Cache * 1e3}} {
		if need.ms > ms {
			ms, bound = need.ms, need.bound
		}
	}
	return ms, bound
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// measurePeak takes the fastest of several short runs of each kind.
func measurePeak() Peak {
	const rows, columns, depth = 96, 128, 256
	a, b, c := ramp(rows*depth), ramp(depth*columns), make([]float32, rows*columns)
	w := kernel.Pack(false, depth, columns, b, columns)
	product := fastest(200, func() { kernel.GemmPacked(false, rows, columns, depth, 1, a, depth, w, 0, c, columns) })
	x, y, z := ramp(1<<17), ramp(1<<17), make([]float32, 1<<17)
	cache := fastest(200, func() { kernel.Mul(z, x, y) })
	weights := ramp(1 << 26)
	memory := fastest(5, func() { kernel.Parallel(len(weights), 1<<16, func(lo, hi int) { kernel.Sum(weights[lo:hi]) }) })
	return Peak{
		GFLOPS: 2 * rows * columns * depth / product.Seconds() / 1e9,
		Memory: 4 * float64(len(weights)) / memory.Seconds(), Cache: 12 * float64(len(z)) / cache.Seconds(),
	}
}

func fastest(runs int, f func()) time.Duration {
	times := make([]time.Duration, runs)
	for i := range times {
		start := processorTime()
		f()
		times[i] = processorTime() - start
	}
	return slices.Min(times)
}
