package method

import (
	"maps"
	"strings"
)

// meanings are what the metrics of deltas and aggregates say, with their units.
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
	MetricEpsilon:    "epsilon of differential privacy, no unit",
	MetricDelta:      "delta of differential privacy, a probability",
}

// Meanings are what the metrics of deltas and aggregates say, with their units, by name without the family.
func Meanings() map[string]string { return maps.Clone(meanings) }

// Meaning is what a metric says, with its unit; empty if it is none of this package. What follows a slash in its name is a family of models.
func Meaning(metric string) string {
	name, family, ofFamily := strings.Cut(metric, "/")
	means := meanings[name]
	if means != "" && ofFamily {
		means += ", family " + family
	}
	return means
}
