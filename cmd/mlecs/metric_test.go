package main

import (
	"os"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/method"
)

// TestMetricsHaveUnits: no number of a record is shown bare, and the page says the same of it as the commands do.
func TestMetricsHaveUnits(t *testing.T) {
	page, err := os.ReadFile("../../node/web/page/rounds.js")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, means := range method.Meanings() {
		if want := name + ": '" + strings.ReplaceAll(means, "'", "\\u2019") + "'"; !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %s", want)
		}
		if !strings.Contains(string(docs), "`"+name+"` | "+means) {
			t.Errorf("docs/operating.md does not say that `%s` is %s", name, means)
		}
	}
	for _, tc := range []struct {
		name    string
		metrics map[string]float64
		want    string
	}{
		{"none", nil, ""},
		{"sorted, one a line", map[string]float64{"fit": 0.5, "amt_lm": 1.23456}, "amt_lm 1.235, loss on private rows, nats a token\nfit 0.5, public rows answered exactly, share from 0 to 1"},
		{"a family", map[string]float64{"proxy_lm/1": 2}, "proxy_lm/1 2, small model: loss on public rows, nats a token, family 1"},
		{"small", map[string]float64{"dp_delta": 1e-5}, "dp_delta 1e-05, delta of differential privacy, a probability"},
		{"of another implementation", map[string]float64{"x": 3}, "x 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := metricsText(tc.metrics); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
