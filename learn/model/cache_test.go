package model

import "testing"

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	var c cache[string, int]
	built := 0
	get := func(key string, cost int) {
		t.Helper()
		if _, err := c.get(key, cost, func() (int, error) { built++; return built, nil }); err != nil {
			t.Fatal(err)
		}
	}
	const third = cacheBudget / 3
	for _, step := range []struct {
		key   string
		cost  int
		built int // in all, afterwards
	}{
		{"a", third, 1}, {"b", third, 2}, {"c", third, 3},
		{"a", third, 3}, // kept
		{"d", third, 4}, // in the place of b
		{"a", third, 4}, {"c", third, 4}, {"b", third, 5},
		{"huge", 10 * cacheBudget, 6}, // alone
		{"huge", 10 * cacheBudget, 6},
		{"a", third, 7},
	} {
		get(step.key, step.cost)
		if built != step.built {
			t.Fatalf("%d values built after %q, want %d", built, step.key, step.built)
		}
	}
}
