package method

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Batches are of one size, hold no row twice, an epoch holds no row twice, and steps may be asked for in any order.
func TestSampler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, batch := rapid.IntRange(1, 40).Draw(t, "rows"), rapid.IntRange(1, 20).Draw(t, "batch")
		s := newSampler(rows, batch, 7, "edge/amt/1")
		size := min(rows, batch)
		seen := map[int]bool{}
		var steps [][]int
		for step := range 2 * (rows / size) {
			if step == rows/size {
				clear(seen)
			}
			indices := slices.Clone(s.at(step))
			steps = append(steps, indices)
			if len(indices) != size {
				t.Fatalf("step %d has %d rows, want %d", step, len(indices), size)
			}
			for _, i := range indices {
				if i < 0 || i >= rows || seen[i] {
					t.Fatalf("row %d of %d is out of range or twice in an epoch", i, rows)
				}
				seen[i] = true
			}
		}
		again := newSampler(rows, batch, 7, "edge/amt/1")
		for step := len(steps) - 1; step >= 0; step-- {
			if !slices.Equal(again.at(step), steps[step]) {
				t.Fatalf("step %d differs when asked for first", step)
			}
		}
	})
}

func TestSeedsDifferByEveryPartOfTheirPath(t *testing.T) {
	seen := map[uint64]string{}
	for name, seed := range map[string]uint64{
		"base":   deriveSeed(1, "edge", "amt", 1),
		"seed":   deriveSeed(2, "edge", "amt", 1),
		"stream": deriveSeed(1, "edge2", "amt", 1),
		"stage":  deriveSeed(1, "edge", "ccl", 1),
		"round":  deriveSeed(1, "edge", "amt", 2),
		"joined": deriveSeed(1, "edge amt", 1),
	} {
		if other, twice := seen[seed]; twice {
			t.Errorf("%s and %s have one seed", name, other)
		}
		seen[seed] = name
	}
}
