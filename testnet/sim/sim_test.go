package sim_test

import (
	"context"
	"errors"
	"math"
	"os"
	"testing"
	"time"

	"github.com/mlecs/mlecs/testnet/sim"
)

func run(t *testing.T, change func(*sim.Options)) *sim.Result {
	t.Helper()
	o := sim.Defaults()
	o.Dir = t.TempDir()
	change(&o)
	r, err := sim.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return r
}

func TestEveryRecordReachesEveryNode(t *testing.T) {
	r := run(t, func(o *sim.Options) { o.Nodes, o.Records, o.Members = 14, 3, 5 })
	if !r.Complete || len(r.Reached) != 3 || len(r.LastMillis) != 3 {
		t.Errorf("records reached %v of 14 nodes", r.Reached)
	}
	if r.LeastMembers < 5 {
		t.Errorf("a node has %d members, and wants 5", r.LeastMembers)
	}
	if r.WorstMillis < 25 || r.WorstMillis > 1000 {
		t.Errorf("%.1f ms to the last node over links of 25 ms", r.WorstMillis)
	}
	// A node of the mesh gets a record and sends it on to some others.
	if each := r.GossipBytes / float64(r.RecordBytes); each < 1 || each > 20 {
		t.Errorf("a node sends %.0f bytes for a record of %d", r.GossipBytes, r.RecordBytes)
	}
	if r.WireBytes < r.GossipBytes || r.WallSeconds <= 0 {
		t.Errorf("not measured: %+v", r)
	}
}

// Virtual time makes latencies exact: two nodes are one link apart, however slow the machine is.
func TestLatencyIsThatOfTheLinks(t *testing.T) {
	for _, latency := range []time.Duration{25 * time.Millisecond, 400 * time.Millisecond} {
		r := run(t, func(o *sim.Options) { o.Nodes, o.Records, o.Latency = 2, 2, latency })
		if ms := float64(latency) / 1e6; r.WorstMillis < ms || r.WorstMillis > ms+5 {
			t.Errorf("%.2f ms over a link of %s", r.WorstMillis, latency)
		}
	}
}

func TestRunRefusesWhatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*sim.Options){
		"one node":       func(o *sim.Options) { o.Nodes = 1 },
		"too many nodes": func(o *sim.Options) { o.Nodes = sim.MaxNodes + 1 },
		"no record":      func(o *sim.Options) { o.Records = 0 },
		"time travel":    func(o *sim.Options) { o.Latency = -1 },
		"no contact":     func(o *sim.Options) { o.Contacts = 0 },
	} {
		o := sim.Defaults()
		change(&o)
		if _, err := sim.Run(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sim.Run(ctx, sim.Defaults()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFitFindsTheExponents(t *testing.T) {
	var results []*sim.Result
	for _, n := range []int{50, 200, 500, 1000} {
		f := float64(n)
		results = append(results, &sim.Result{
			Nodes: n, WorstMillis: 10 + 30*math.Log10(f), GossipBytes: 7, WireBytes: 3 * f, WallMillis: 2 * math.Sqrt(f), ProcessMillis: 5,
		})
	}
	g := sim.Fit(results)
	for name, c := range map[string][2]float64{
		"gossip": {g.Gossip, 0}, "wire": {g.Wire, 1}, "wall": {g.Wall, 0.5}, "processor": {g.Process, 0},
		"latency for ten times the nodes": {g.PerTenfold, 30}, "wall ratio": {g.WallRatio, math.Sqrt(20)},
	} {
		if math.Abs(c[0]-c[1]) > 1e-9 {
			t.Errorf("%s: %g, want %g", name, c[0], c[1])
		}
	}
	if sim.Fit(results[:1]) != nil {
		t.Error("growth of a single size")
	}
}
