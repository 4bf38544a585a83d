package node

import (
	"context"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mlecs/mlecs/node/api"
)

// newRegistry holds the node's metrics, libp2p's (see p2p.Deps) and those of the process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// handleMetrics serves metrics for Prometheus, and the profiles of net/http/pprof.
func handleMetrics(mux *http.ServeMux, r *prometheus.Registry) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
}

// metrics are read from the running node when somebody scrapes them: nothing is counted twice, and nothing costs while nobody asks.
type metrics struct{ view *runningView }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mlecs_"+name, help, labels, nil)
}

var (
	descInfo        = desc("build_info", "Always 1.", "version", "role", "federation")
	descReady       = desc("ready", "1 once the node takes part in rounds.")
	descRound       = desc("round", "Round of the newest aggregate that the node knows.")
	descRoundTime   = desc("last_round_timestamp_seconds", "When that aggregate was made, by its author's clock.")
	descRoundTook   = desc("last_round_seconds", "Time between that aggregate and the one before.")
	descRoundInputs = desc("last_round_inputs", "Deltas in that aggregate.")
	descRecords     = desc("records", "Records that the node stores.")
	descDeltas      = desc("deltas", "Deltas that the node knows.")
	descPeers       = desc("peers", "Connected members.", "role")
	descTraffic     = desc("traffic_bytes_total", "Bytes of libp2p streams since the node's start.", "protocol", "direction")
	descRefused     = desc("refused_total", "What broke a rule and was turned away: records, blobs, peers.", "what")
	descDisk        = desc("disk_bytes", "Size of the node's home.")
	descPhase       = desc("learner_phase", "1 for what the learner is at.", "phase")
	descSteps       = desc("learner_steps", "Steps of the learner's phase.", "state")
	descLoss        = desc("learner_loss", "Loss of the last step; 0 while the learner rests.")
	descFailing     = desc("learner_failing", "1 while the last thing that the learner tried failed.")
	descScore       = desc("score", "The newest score on the node's own test rows; alone: the same model without any exchange; constant: the best constant answer.", "learning", "measure")
	descScoreRound  = desc("score_round", "Round of the newest score.", "learning")
)

// Describe tells nothing: what there is depends on the node, and Prometheus then checks each scrape.
func (metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads the node.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	ctx, v := context.Background(), m.view
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	s, err := v.Status(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(descRound, err)
		return
	}
	gauge(descInfo, 1, s.Version, s.Role, s.Federation)
	gauge(descReady, one(v.Ready(ctx) == nil))
	gauge(descRound, float64(s.Round))
	gauge(descRecords, float64(s.Records))
	gauge(descDeltas, float64(v.full.countDeltas()))
	gauge(descDisk, float64(s.DiskBytes))
	gauge(descPhase, 1, s.Phase)
	gauge(descSteps, float64(s.StepDone), "done")
	gauge(descSteps, float64(s.StepTotal), "total")
	gauge(descLoss, s.Loss)
	gauge(descFailing, one(s.Error != ""))
	count(descRefused, s.RejectedRecords, "records")
	count(descRefused, s.RejectedBlobs, "blobs")
	count(descRefused, s.RefusedPeers, "peers")
	m.collectNetwork(gauge, count)
	m.collectRound(gauge)
	if scores, err := v.Scores(ctx); err != nil {
		out <- prometheus.NewInvalidMetric(descScore, err)
	} else {
		collectScores(scores, gauge)
	}
}

func (m metrics) collectNetwork(gauge func(*prometheus.Desc, float64, ...string), count func(*prometheus.Desc, int64, ...string)) {
	peers := map[string]int{"edge": 0, "super": 0}
	for _, p := range m.view.node.network.Peers() {
		if p.Role != "" {
			peers[string(p.Role)]++
		}
	}
	for role, n := range peers {
		gauge(descPeers, float64(n), role)
	}
	for proto, bytes := range m.view.node.network.Traffic().ByProtocol {
		count(descTraffic, bytes[0], proto, "sent")
		count(descTraffic, bytes[1], proto, "received")
	}
}

func (m metrics) collectRound(gauge func(*prometheus.Desc, float64, ...string)) {
	newest := m.view.recent.newest(nil)
	if newest == nil {
		return
	}
	gauge(descRoundTime, float64(newest.Created)/1000)
	gauge(descRoundInputs, float64(len(newest.body.Inputs)))
	if before := m.view.recent.before(newest); before != nil {
		gauge(descRoundTook, float64(newest.Created-before.Created)/1000)
	}
}

func collectScores(s *api.Scores, gauge func(*prometheus.Desc, float64, ...string)) {
	score := func(learning string, v api.Score) {
		gauge(descScore, v.RougeLsum, learning, "rouge_lsum")
		gauge(descScore, v.ExactMatch, learning, "exact_match")
	}
	for learning, rounds := range map[string][]api.RoundScore{"together": s.Together, "alone": s.Standalone} {
		if n := len(rounds); n > 0 {
			score(learning, rounds[n-1].Score)
			gauge(descScoreRound, float64(rounds[n-1].Round), learning)
		}
	}
	if s.Constant != nil {
		score("constant", *s.Constant)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
