package bench

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Timing is how long the repetitions of some work took.
type Timing struct {
	Median float64 `json:"median_ms"`
	P10    float64 `json:"p10_ms"`
	P90    float64 `json:"p90_ms"`
}

// warmUps run before the repetitions that count: memory is grown and graphs are built.
const warmUps = 2

// measure runs f some times and then n times that count.
func measure(ctx context.Context, n int, f func() error) (Timing, error) {
	t, err := measureInTurn(ctx, n, f)
	if err != nil {
		return Timing{}, err
	}
	return t[0], nil
}

// measureInTurn is measure of several functions that are compared: each runs once before any runs again, so that what else the machine does
// costs all alike.
func measureInTurn(ctx context.Context, n int, fs ...func() error) ([]Timing, error) {
	clock := clockOf(ctx)
	times := make([][]float64, len(fs))
	for i := range warmUps + n {
		for j, f := range fs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			start := clock()
			if err := f(); err != nil {
				return nil, err
			}
			if i >= warmUps {
				times[j] = append(times[j], milliseconds(clock()-start))
			}
		}
	}
	all := make([]Timing, len(fs))
	for j, t := range times {
		slices.Sort(t)
		at := func(share float64) float64 { return t[int(share*float64(len(t)-1)+0.5)] }
		all[j] = Timing{Median: at(0.5), P10: at(0.1), P90: at(0.9)}
	}
	return all, nil
}

type clockKey struct{}

// WithProcessorTime makes measurements count what all threads together use of the processors, where the system tells it: on a machine that is
// busy with other things, the time of a single thread can be compared so.
func WithProcessorTime(ctx context.Context) context.Context {
	return context.WithValue(ctx, clockKey{}, processorTime)
}

func clockOf(ctx context.Context) func() time.Duration {
	if clock, ok := ctx.Value(clockKey{}).(func() time.Duration); ok {
		return clock
	}
	return func() time.Duration { return time.Since(begin) }
}

// begin is when clocks begin.
var begin = time.Now()

// Machine is what a measurement ran on.
type Machine struct {
	Threads int    `json:"threads"`
	Kernel  string `json:"kernel"`
	PeakRSS int64  `json:"peak_rss_bytes"` // of the process so far; 0 where the system does not tell
}

func machine() Machine {
	return Machine{Threads: runtime.GOMAXPROCS(0), Kernel: kernel.Active(), PeakRSS: peakRSS()}
}

// peakRSS reads the most memory that the process has held, from Linux's /proc.
func peakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "VmHWM:" {
			kib, err := strconv.ParseInt(string(f[1]), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
