package op_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/op"
)

// TestMeterKeepsTheFastestOfEachPart: of steps with a map of 3 rows from 5 to 7 values.
func TestMeterKeepsTheFastestOfEachPart(t *testing.T) {
	const n, in, out = 3, 5, 7
	r := rand.New(rand.NewPCG(1, 1))
	x, w := random(r, 1, n, in).data, random(r, 1, in, out).data
	f := &op.Affine{NoBias: true, Frozen: kernel.Freeze(kernel.BFloat16, in, out, w)}
	if _, err := f.Shape([]tensor.Shape{{n, in}, {in, out}}); err != nil {
		t.Fatal(err)
	}
	var now, tick time.Duration
	meter := op.Meter{Clock: func() time.Duration { now += tick; return now }}
	step := func() error {
		f.Forward(make([]float32, n*out), [][]float32{x, nil})
		return nil
	}
	for _, tick = range []time.Duration{5 * time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond} {
		if err := meter.Step(step); err != nil {
			t.Fatal(err)
		}
	}
	want := []op.Work{
		{Name: "everything else", Calls: 2, Time: 4 * time.Millisecond},
		{Name: "frozen maps", Frozen: true, Calls: 1, Time: 2 * time.Millisecond, FLOPs: 2 * n * in * out, Weights: 2 * in * out, Bytes: 4 * n * (in + out)},
	}
	got := meter.Parts()
	if len(got) != len(want) {
		t.Fatalf("%d parts, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	failure := errors.New("stop")
	if err := meter.Step(func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("the step's error became %v", err)
	}
	before := now
	if step(); now != before {
		t.Error("the clock is read outside of steps")
	}
}
