package sim

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
)

// Result is what one federation has shown. Times but the wall's and the processor's are virtual.
type Result struct {
	Nodes         int       `json:"nodes"`
	Complete      bool      `json:"complete"`       // every record reached every node
	Reached       []int     `json:"reached"`        // nodes that each record reached, its author included
	LastMillis    []float64 `json:"last_ms"`        // from publishing to the last node, of each record
	MedianMillis  float64   `json:"median_ms"`      // to the median node, over all records
	WorstMillis   float64   `json:"worst_ms"`       // to the last node, of the slowest record
	RecordBytes   int       `json:"record_bytes"`   // signed envelope
	GossipBytes   float64   `json:"gossip_bytes"`   // that a node sends for a record, on average
	WireBytes     float64   `json:"wire_bytes"`     // UDP payload that a node sends from start to end, on average
	MeanMembers   float64   `json:"mean_members"`   // connected to a node
	LeastMembers  int       `json:"least_members"`  // ... to the loneliest one
	SettleSeconds float64   `json:"settle_seconds"` // until all had the members that they wanted

	WallSeconds   float64 `json:"wall_seconds"`
	WallMillis    float64 `json:"wall_ms_per_node"`
	ProcessMillis float64 `json:"cpu_ms_per_node"` // processor time, which other programs on the machine change less

	delays []float64 // of every node and record, ms
}

// follow notes when a record published at a time reached nodes.
func (r *Result) follow(at time.Time, times []time.Time, nodes int) {
	r.Reached = append(r.Reached, len(times))
	last := 0.0
	for _, t := range times {
		ms := float64(t.Sub(at)) / 1e6
		r.delays = append(r.delays, ms)
		last = max(last, ms)
	}
	r.LastMillis = append(r.LastMillis, last)
	r.WorstMillis = max(r.WorstMillis, last)
	slices.Sort(r.delays)
	if n := len(r.delays); n > 0 {
		r.MedianMillis = r.delays[n/2]
	}
	r.Complete = !slices.ContainsFunc(r.Reached, func(n int) bool { return n < nodes })
}

func (r *Result) measured(wall, cpu time.Duration) {
	r.WallSeconds = wall.Seconds()
	r.WallMillis = wall.Seconds() * 1e3 / float64(r.Nodes)
	r.ProcessMillis = cpu.Seconds() * 1e3 / float64(r.Nodes)
}

// Growth has, for figures that grow as a power of the number of nodes, the exponents: 0 is constant, 1 linear.
type Growth struct {
	Latency float64 `json:"latency"` // of the worst record to the last node
	Gossip  float64 `json:"gossip_bytes"`
	Wire    float64 `json:"wire_bytes"`
	Wall    float64 `json:"wall_per_node"`
	Process float64 `json:"cpu_per_node"`

	PerTenfold float64 `json:"latency_ms_per_tenfold"` // latency fitted as a + b log10(nodes): this is b

	WallRatio    float64 `json:"wall_ratio"` // of the largest federation to the smallest, per node
	ProcessRatio float64 `json:"cpu_ratio"`
}

// Fit fits the growth over results of two or more sizes, in order of size; nil for fewer.
func Fit(results []*Result) *Growth {
	if len(results) < 2 {
		return nil
	}
	power := func(y func(*Result) float64) float64 {
		return slope(results, func(r *Result) float64 { return math.Log(max(y(r), 1e-9)) })
	}
	worst := func(r *Result) float64 { return r.WorstMillis }
	first, last := results[0], results[len(results)-1]
	return &Growth{
		Latency:      power(worst),
		Gossip:       power(func(r *Result) float64 { return r.GossipBytes }),
		Wire:         power(func(r *Result) float64 { return r.WireBytes }),
		Wall:         power(func(r *Result) float64 { return r.WallMillis }),
		Process:      power(func(r *Result) float64 { return r.ProcessMillis }),
		PerTenfold:   slope(results, worst) * math.Ln10,
		WallRatio:    last.WallMillis / max(first.WallMillis, 1e-9),
		ProcessRatio: last.ProcessMillis / max(first.ProcessMillis, 1e-9),
	}
}

// slope of y over the logarithm of the number of nodes, by least squares.
func slope(results []*Result, y func(*Result) float64) float64 {
	xs, ys := make([]float64, len(results)), make([]float64, len(results))
	for i, r := range results {
		xs[i], ys[i] = math.Log(float64(r.Nodes)), y(r)
	}
	_, b := stat.LinearRegression(xs, ys, nil, false)
	return b
}
