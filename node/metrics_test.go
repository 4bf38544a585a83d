package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// TestMetrics scrapes a node that has done its rounds, and its profiles.
func TestMetrics(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 1, Deadline: 60_000})
	c.nodes["super"].start()
	m := c.join("edge")
	m.start()
	m.until("is done", isDone)
	client, err := api.Dial(m.home.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ask := func(path string) string {
		b, err := client.Get(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	text := ask("/metrics")
	for _, want := range []string{
		`mlecs_build_info{federation="baf`, `role="edge",version="` + Version + `"} 1`,
		"mlecs_ready 1\n", "mlecs_round 1\n", "mlecs_last_round_inputs 1\n", "mlecs_deltas 1\n", "mlecs_last_round_seconds ",
		`mlecs_peers{role="super"} 1`, `mlecs_traffic_bytes_total{direction="received",protocol="/mlecs/blob/1"} `,
		`mlecs_refused_total{what="records"} 0`, `mlecs_learner_phase{phase="done"} 1`, "mlecs_learner_failing 0\n",
		`mlecs_score{learning="together",measure="rouge_lsum"} `, `mlecs_score{learning="alone",measure="exact_match"} `,
		`mlecs_score{learning="constant",measure="rouge_lsum"} `, `mlecs_score_round{learning="together"} 1`,
		"libp2p_swarm_connections_opened_total", "go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if !strings.Contains(ask("/debug/pprof/goroutine?debug=1"), "goroutine profile") {
		t.Error("no profile of goroutines")
	}
}

func TestLogLevels(t *testing.T) {
	logs := &logBuffer{}
	levels := newLogLevels(slog.LevelWarn)
	base := slog.New(slog.NewTextHandler(logs, nil))
	learner, p2p := levels.logger(base, logLearner), levels.logger(base, logP2P)
	say := func(what string) {
		learner.With("round", 1).Debug(what)
		p2p.WithGroup("g").Debug(what)
	}
	say("one")
	if err := levels.set(api.LogLevel{Subsystem: logP2P, Level: "debug"}); err != nil {
		t.Fatal(err)
	}
	say("two")
	if err := levels.set(api.LogLevel{Subsystem: allLogs, Level: "debug"}); err != nil {
		t.Fatal(err)
	}
	say("three")
	var got []string
	for line := range strings.Lines(logs.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), "level=")
		got = append(got, line)
	}
	want := []string{"DEBUG msg=two in=p2p", "DEBUG msg=three in=learner round=1", "DEBUG msg=three in=p2p"}
	if !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
	for _, bad := range []api.LogLevel{{Subsystem: "disk", Level: "info"}, {Subsystem: logP2P, Level: "loud"}} {
		if err := levels.set(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestDeployedMetrics: the dashboard and the alert rules ask for metrics that exist.
func TestDeployedMetrics(t *testing.T) {
	source, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for _, m := range regexp.MustCompile(`desc\("(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		exist["mlecs_"+m[1]] = true
	}
	for _, name := range []string{"grafana-dashboard.json", "prometheus-alerts.yml"} {
		b, err := os.ReadFile(filepath.Join("..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		used := regexp.MustCompile(`\bmlecs_\w+`).FindAllString(string(b), -1)
		if len(used) < 5 {
			t.Errorf("%s asks for %v only", name, used)
		}
		for _, m := range used {
			if !exist[m] {
				t.Errorf("%s asks for %s, which the node does not have", name, m)
			}
		}
		var doc map[string]any
		if err := yaml.Unmarshal(b, &doc); err != nil { // JSON is YAML
			t.Errorf("%s: %v", name, err)
		}
	}
}
