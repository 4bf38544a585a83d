package experiment

import (
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/method"
)

// Results is results.json. Its keys are an interface to other programs.
type Results struct {
	Dataset  Dataset   `json:"dataset"`
	Settings Settings  `json:"settings"`
	Runs     []Run     `json:"runs"` // by method in the order of the table, then by seed
	Summary  []Summary `json:"summary"`
}

// Dataset says what was learned from.
type Dataset struct {
	Name       string   `json:"name"`
	Path       string   `json:"path"`
	Generated  bool     `json:"generated"`
	Rows       int      `json:"rows"`
	Modalities []string `json:"modalities"`
}

// Settings is everything but the data and the seed that a run depends on.
type Settings struct {
	Setting
	Scored string                   `json:"scored"` // "test", or "validation" in a search
	Config map[string]method.Config `json:"config"` // hyper-parameters by method
}

// Run is one method on one seed.
type Run struct {
	Method           string      `json:"method"`
	Seed             uint64      `json:"seed"`
	EdgesRougeLsum   float64     `json:"edges_rouge_lsum"` // mean over edges, each on its own rows and modalities
	EdgesExactMatch  float64     `json:"edges_exact_match"`
	ServerRougeLsum  float64     `json:"server_rouge_lsum"`
	ServerExactMatch float64     `json:"server_exact_match"`
	PerNode          []NodeScore `json:"per_node"`
	Sent
	DownPerEdgeRound float64            `json:"down_bytes_per_edge_round"` // received by an edge, encoded
	Bytes            map[string]float64 `json:"bytes"`                     // by direction and component ("up lora"), per edge and round
	Curve            []Point            `json:"curve,omitempty"`
	Seconds          float64            `json:"seconds"`
}

// Sent is what an edge sends in a round: blobs alone, without the signed record that names them. Every method is counted by the same codecs.
type Sent struct {
	BytesPerEdgeRound    float64 `json:"bytes_per_edge_round"`    // encoded
	FractionOfModelBytes float64 `json:"fraction_of_model_bytes"` // the same, of the bytes of the edge's model as float32
	FractionOfParams     float64 `json:"fraction_of_params"`      // parameters sent, of those of the edge's model
}

// NodeScore is one edge at the end of a run.
type NodeScore struct {
	Node       string   `json:"node"`
	Domain     string   `json:"domain"`
	Family     int      `json:"family"`
	Modalities []string `json:"modalities"`
	Rows       int      `json:"rows"`      // private
	TestRows   int      `json:"test_rows"` // scored
	RougeLsum  float64  `json:"rouge_lsum"`
	ExactMatch float64  `json:"exact_match"`
	Constant   float64  `json:"constant_rouge_lsum"` // of the best constant answer, chosen on the private rows
}

// Point is the score after a round, before the edges' last adaptation.
type Point struct {
	Round  uint64  `json:"round"`
	Edges  float64 `json:"edges_rouge_lsum"`
	Server float64 `json:"server_rouge_lsum"`
}

// Summary is one method over all seeds.
type Summary struct {
	Method           string   `json:"method"`
	Seeds            int      `json:"seeds"`
	Edges            Estimate `json:"edges"` // Rouge-LSum
	Server           Estimate `json:"server"`
	EdgesExactMatch  Estimate `json:"edges_exact_match"`
	ServerExactMatch Estimate `json:"server_exact_match"`
	Sent
	// Relative gains in percent, paired by seed. The best baseline is the best of the methods run, for edges and server each, that are
	// not ours, not the ceiling and not fedavg-zero.
	GainBest *Gains `json:"paired_gain_percent_over_best_baseline,omitempty"`
	GainZero *Gains `json:"paired_gain_percent_over_fedavg_zero,omitempty"`
	// Of mlecs without a part: what the removal costs, in Rouge-LSum.
	Cost *Gains `json:"paired_cost_of_removal,omitempty"`
	// ClosedGap is the share, at the edges, of the way from standalone-public to centralised.
	ClosedGap *float64 `json:"closed_gap_edges,omitempty"`
}

// Gains at the edges and at the server.
type Gains struct {
	Edges  Gain `json:"edges"`
	Server Gain `json:"server"`
}

// Names of methods that the summary speaks of.
const (
	ours       = "mlecs"
	literal    = "mlecs-paper"
	zeroFilled = "fedavg-zero"
	ceiling    = "centralised"
	floor      = "standalone-public"
)

// baseline tells whether the best baseline may be this method.
func baseline(name string) bool {
	return !strings.HasPrefix(name, ours) && name != ceiling && name != zeroFilled
}

// removal tells whether a method is ours with something taken away: a variant, but not the paper's literal method.
func removal(name string) bool { return strings.HasPrefix(name, ours+"-") && name != literal }

// scoresOf are the scores of every method by seed, in the order of seeds.
type scoresOf map[string]struct{ edges, server, edgesExact, serverExact []float64 }

// summarise describes runs by method, in the order of methods. Only seeds that all of them have finished are counted, so that every
// comparison is paired.
func summarise(methods []string, runs []Run) []Summary {
	scores, shared := collectScores(methods, runs)
	best := func(of func(m string) []float64) string {
		name := ""
		for _, m := range methods {
			if baseline(m) && (name == "" || mean(of(m)) > mean(of(name))) {
				name = m
			}
		}
		return name
	}
	edges := func(m string) []float64 { return scores[m].edges }
	server := func(m string) []float64 { return scores[m].server }
	bestEdges, bestServer := best(edges), best(server)
	var out []Summary
	for _, m := range methods {
		x := scores[m]
		s := Summary{
			Method: m, Seeds: len(shared), Edges: estimate(x.edges), Server: estimate(x.server),
			EdgesExactMatch: estimate(x.edgesExact), ServerExactMatch: estimate(x.serverExact),
		}
		n := 0.0
		for _, r := range runs {
			if r.Method == m && slices.Contains(shared, r.Seed) {
				n++
				s.BytesPerEdgeRound += r.BytesPerEdgeRound
				s.FractionOfModelBytes += r.FractionOfModelBytes
				s.FractionOfParams += r.FractionOfParams
			}
		}
		if n > 0 {
			s.Sent = Sent{s.BytesPerEdgeRound / n, s.FractionOfModelBytes / n, s.FractionOfParams / n}
		}
		if bestEdges != "" {
			s.GainBest = &Gains{gainPercent(bestEdges, x.edges, edges(bestEdges)), gainPercent(bestServer, x.server, server(bestServer))}
		}
		if slices.Contains(methods, zeroFilled) {
			s.GainZero = &Gains{gainPercent(zeroFilled, x.edges, edges(zeroFilled)), gainPercent(zeroFilled, x.server, server(zeroFilled))}
		}
		if removal(m) && slices.Contains(methods, ours) {
			s.Cost = &Gains{difference(m, edges(ours), x.edges), difference(m, server(ours), x.server)}
		}
		if slices.Contains(methods, floor) && slices.Contains(methods, ceiling) {
			if gap := mean(edges(ceiling)) - mean(edges(floor)); gap > 0 {
				closed := (s.Edges.Mean - mean(edges(floor))) / gap
				s.ClosedGap = &closed
			}
		}
		out = append(out, s)
	}
	return out
}

// collectScores finds the seeds that all methods have, and the scores on them.
func collectScores(methods []string, runs []Run) (scoresOf, []uint64) {
	bySeed := map[uint64]map[string]Run{}
	var seeds []uint64
	for _, r := range runs {
		if bySeed[r.Seed] == nil {
			bySeed[r.Seed] = map[string]Run{}
			seeds = append(seeds, r.Seed)
		}
		bySeed[r.Seed][r.Method] = r
	}
	slices.Sort(seeds)
	seeds = slices.DeleteFunc(seeds, func(s uint64) bool {
		return slices.ContainsFunc(methods, func(m string) bool { _, ok := bySeed[s][m]; return !ok })
	})
	scores := scoresOf{}
	for _, m := range methods {
		x := scores[m]
		for _, s := range seeds {
			r := bySeed[s][m]
			x.edges, x.server = append(x.edges, r.EdgesRougeLsum), append(x.server, r.ServerRougeLsum)
			x.edgesExact, x.serverExact = append(x.edgesExact, r.EdgesExactMatch), append(x.serverExact, r.ServerExactMatch)
		}
		scores[m] = x
	}
	return scores, seeds
}
