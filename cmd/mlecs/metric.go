package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// meanings are what the metrics of deltas and aggregates say, with their units; node/web/page/rounds.js has the same.
var meanings = map[string]string{
	"amt_lm":         "loss on private rows, nats a token",
	"ccl_soft":       "distance to the super-peer's answers, nats a token",
	"ccl_contrast":   "contrastive loss on public rows, no unit",
	"large_lm":       "large model: loss on public rows, nats a token",
	"large_soft":     "large model: distance to the small models' answers, nats a token",
	"large_contrast": "large model: contrastive loss, no unit",
	"proxy_lm":       "small model: loss on public rows, nats a token",
	"proxy_soft":     "small model: distance to the large model's answers, nats a token",
	"fit":            "public rows answered exactly, share from 0 to 1",
	"rejected":       "components left out of the mean",
	"transferred":    "components that the large model took over",
	"dp_epsilon":     "epsilon of differential privacy, no unit",
	"dp_delta":       "delta of differential privacy, a probability",
}

// metricsText shows one metric a line. What follows a slash in a name is a family of models.
func metricsText(metrics map[string]float64) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		kind, family, ofFamily := strings.Cut(name, "/")
		line := fmt.Sprintf("%s %.4g", name, metrics[name])
		if means, ok := meanings[kind]; ok {
			line += ", " + means
		}
		if ofFamily {
			line += ", family " + family
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
