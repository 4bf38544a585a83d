package experiment

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// runsOf makes the runs of a method with seeds 1, 2, ...: edges' scores, then the server's.
func runsOf(name string, edges, server []float64) []Run {
	var out []Run
	for i := range edges {
		out = append(out, Run{Method: name, Seed: uint64(i + 1), EdgesRougeLsum: edges[i], ServerRougeLsum: server[i], Sent: Sent{BytesPerEdgeRound: 100 * float64(i+1)}})
	}
	return out
}

// federation are runs of many methods with two seeds, with round numbers.
func federation() ([]string, []Run) {
	var methods []string
	var runs []Run
	for _, m := range []struct {
		name          string
		edges, server float64
	}{
		{"standalone", 0.25, 0.5},
		{"standalone-public", 0.2, 0.6},
		{"fedavg-lora", 0.5, 0.25}, // the best baseline at the edges
		{"fedavg-zero", 0.7, 0.7},  // better, but not one
		{"fedmd", 0.4, 0.6},        // with standalone-public the best at the server, and later
		{"centralised", 1, 1},
		{"mlecs-paper", 0.7, 0.9},
		{"mlecs", 0.6, 0.75},
		{"mlecs-no-mma", 0.45, 0.8},
	} {
		methods = append(methods, m.name)
		runs = append(runs, runsOf(m.name, []float64{m.edges - 0.1, m.edges + 0.1}, []float64{m.server, m.server})...)
	}
	return methods, runs
}

func summaryOf(t *testing.T, all []Summary, name string) Summary {
	t.Helper()
	for _, s := range all {
		if s.Method == name {
			return s
		}
	}
	t.Fatalf("no summary of %s", name)
	return Summary{}
}

func TestSummaryCountsSeedsThatAllMethodsHave(t *testing.T) {
	a := runsOf("standalone", []float64{0.1, 0.2, 0.9}, []float64{0, 0, 0})
	b := runsOf("mlecs", []float64{0.3, 0.6}, []float64{0, 0})
	got := summarise([]string{"standalone", "mlecs"}, slices.Concat(b, a)) // in any order
	for i, want := range []struct{ mean, bytes float64 }{{0.15, 150}, {0.45, 150}} {
		if s := got[i]; s.Seeds != 2 || !near(s.Edges.Mean, want.mean) || s.BytesPerEdgeRound != want.bytes {
			t.Errorf("%+v", s)
		}
	}
	if g := got[1].GainBest.Edges; !near(g.Mean, 200) || !near(g.CI95[0], 200) || !near(g.CI95[1], 200) {
		t.Errorf("thrice the score with either seed is a gain of %+v", g)
	}
	for _, s := range summarise([]string{"standalone", "mlecs"}, a) {
		if s.Seeds != 0 || s.Edges != (Estimate{}) {
			t.Errorf("without a shared seed: %+v", s)
		}
	}
}

// TestBestBaseline: the best of those that are not ours, not the ceiling and not fedavg-zero; the first of equals. It need not be the
// same for edges and server.
func TestBestBaseline(t *testing.T) {
	all := summarise(federation())
	s := summaryOf(t, all, "mlecs")
	if g := s.GainBest; g.Edges.Over != "fedavg-lora" || g.Server.Over != "standalone-public" || !near(g.Edges.Mean, 20) || !near(g.Server.Mean, 25) {
		t.Errorf("over the best baseline: %+v", g)
	}
	if g := s.GainZero; g.Edges.Over != "fedavg-zero" || !near(g.Edges.Mean, -100.0/7) || !near(g.Server.Mean, 100*(0.75-0.7)/0.7) {
		t.Errorf("over fedavg-zero: %+v", g)
	}
	if g := summaryOf(t, all, "fedavg-lora").GainBest.Edges; g.Mean != 0 || g.CI95 != [2]float64{} {
		t.Errorf("the best baseline over itself: %+v", g)
	}
	for _, s := range summarise([]string{"mlecs", "centralised"}, slices.Concat(runsOf("mlecs", []float64{1}, []float64{1}), runsOf("centralised", []float64{1}, []float64{1}))) {
		if s.GainBest != nil || s.GainZero != nil {
			t.Errorf("%s has a gain over methods that did not run", s.Method)
		}
	}
}

func TestCostOfRemoval(t *testing.T) {
	methods, runs := federation()
	all := summarise(methods, runs)
	for _, s := range all {
		if got, want := s.Cost != nil, s.Method == "mlecs-no-mma"; got != want {
			t.Errorf("%s has a cost of removal: %v", s.Method, got)
		}
	}
	c := summaryOf(t, all, "mlecs-no-mma").Cost
	if c.Edges.Over != "mlecs-no-mma" || !near(c.Edges.Mean, 0.15) || !near(c.Edges.CI95[0], 0.15) || !near(c.Server.Mean, -0.05) {
		t.Errorf("%+v", c)
	}
	without := slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == "mlecs" })
	if s := summaryOf(t, summarise(without, runs), "mlecs-no-mma"); s.Cost != nil {
		t.Errorf("cost %+v without mlecs itself", s.Cost)
	}
}

func TestClosedGap(t *testing.T) {
	methods, runs := federation()
	all := summarise(methods, runs)
	for name, want := range map[string]float64{"standalone-public": 0, "mlecs": 0.5, "centralised": 1} {
		if got := summaryOf(t, all, name).ClosedGap; got == nil || !near(*got, want) {
			t.Errorf("%s closes %v, want %v", name, got, want)
		}
	}
	same := slices.Concat(runsOf("standalone-public", []float64{0.5}, []float64{0}), runsOf("centralised", []float64{0.5}, []float64{0}))
	if s := summarise([]string{"standalone-public", "centralised"}, same); s[0].ClosedGap != nil {
		t.Error("there is no gap to close")
	}
}

// TestResultsKeys: other programs read results.json by these keys.
func TestResultsKeys(t *testing.T) {
	methods, runs := federation()
	for i := range runs {
		runs[i].PerNode = []NodeScore{{Node: "edge-1"}}
	}
	raw, err := json.Marshal(Results{Runs: runs, Summary: summarise(methods, runs)})
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	const gains = "paired_gain_percent_over_"
	for path, keys := range map[string]string{
		"": "dataset runs settings summary",
		"runs": "method seed edges_rouge_lsum edges_exact_match server_rouge_lsum server_exact_match per_node bytes_per_edge_round " +
			"fraction_of_params fraction_of_model_bytes down_bytes_per_edge_round",
		"runs per_node":                      "node modalities rows rouge_lsum exact_match",
		"summary":                            "method edges server bytes_per_edge_round fraction_of_params fraction_of_model_bytes " + gains + "best_baseline " + gains + "fedavg_zero",
		"summary edges":                      "mean std ci95",
		"summary server":                     "mean std ci95",
		"summary " + gains + "best_baseline": "edges server",
		"summary " + gains + "best_baseline edges":  "mean ci95",
		"summary " + gains + "best_baseline server": "mean ci95",
		"summary " + gains + "fedavg_zero edges":    "mean ci95",
		"summary " + gains + "fedavg_zero server":   "mean ci95",
	} {
		at := tree
		for _, key := range strings.Fields(path) {
			if at = at.(map[string]any)[key]; at == nil {
				t.Fatalf("no %s", path)
			}
			if list, ok := at.([]any); ok {
				at = list[0]
			}
		}
		for _, key := range strings.Fields(keys) {
			if _, ok := at.(map[string]any)[key]; !ok {
				t.Errorf("%q lacks %s", path, key)
			}
		}
	}
}
