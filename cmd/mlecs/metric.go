package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/method"
)

// metricsText shows one metric a line.
func metricsText(metrics map[string]float64) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		line := fmt.Sprintf("%s %.4g", name, metrics[name])
		if means := method.Meaning(name); means != "" {
			line += ", " + means
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
