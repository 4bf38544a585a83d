package data

import (
	"fmt"
	"slices"
	"strings"
)

// keepRate is the chance of an edge to keep a modality, between the paper's two settings of 0.5 and 0.8.
const keepRate = 0.6

// draws is how many times modalities are drawn for all edges together; the first draw that fulfils every wish is taken,
// else the one that fulfils most.
const draws = 500

// chooseModalities draws a subset of the modalities for every edge from those that its training and test rows have, and
// drops the rows that are left without any. With a rate every edge has each modality with this chance, and at least one;
// what no edge has drawn is given to one. Without (0), one edge alone gets all of them, and several draw until as many
// wishes as can be are fulfilled, in order of weight:
// every modality is somewhere; two edges differ; some edge has more than one; the sizes differ; no modality is on one
// edge only, since nothing could be averaged there; at most half of the edges have a single modality.
func (p *partitioner) chooseModalities(shares []Share, rate float64) error {
	available := make([][]string, len(shares))
	var somewhere []string
	for i, share := range shares {
		for _, name := range p.names {
			has := func(r Row) bool { return r.Has(name) }
			if slices.ContainsFunc(share.Train, has) && slices.ContainsFunc(share.Test, has) {
				available[i] = append(available[i], name)
				if !slices.Contains(somewhere, name) {
					somewhere = append(somewhere, name)
				}
			}
		}
		if len(available[i]) == 0 {
			return fmt.Errorf("edge %d (%s) has no modality of %s in both its training and its test rows", i+1, share.Domain, strings.Join(p.names, ", "))
		}
	}
	best := available
	switch {
	case rate > 0:
		best = p.draw(available, rate)
		p.complete(best, available, somewhere)
	case len(shares) > 1:
		most := -1
		for range draws {
			drawn := p.draw(available, keepRate)
			score, perfect := wishes(drawn, somewhere)
			if score > most {
				best, most = drawn, score
			}
			if perfect {
				break
			}
		}
	}
	for i := range shares {
		shares[i].Modalities = slices.Sorted(slices.Values(best[i]))
		lacks := func(r Row) bool {
			return !slices.ContainsFunc(shares[i].Modalities, func(name string) bool { return r.Has(name) })
		}
		shares[i].Train = slices.DeleteFunc(shares[i].Train, lacks)
		shares[i].Test = slices.DeleteFunc(shares[i].Test, lacks)
	}
	return nil
}

func (p *partitioner) draw(available [][]string, rate float64) [][]string {
	drawn := make([][]string, len(available))
	for i, names := range available {
		for _, name := range names {
			if p.rng.Float64() < rate {
				drawn[i] = append(drawn[i], name)
			}
		}
		if len(drawn[i]) == 0 {
			drawn[i] = []string{names[p.rng.IntN(len(names))]}
		}
	}
	return drawn
}

// complete gives each modality that no edge has drawn to one that may have it.
func (p *partitioner) complete(drawn, available [][]string, names []string) {
	for _, name := range names {
		if slices.ContainsFunc(drawn, func(subset []string) bool { return slices.Contains(subset, name) }) {
			continue
		}
		var able []int
		for i := range available {
			if slices.Contains(available[i], name) {
				able = append(able, i)
			}
		}
		i := able[p.rng.IntN(len(able))]
		drawn[i] = append(drawn[i], name)
	}
}

// wishes scores a draw, and tells whether it fulfils all that can be wished for.
func wishes(drawn [][]string, names []string) (score int, perfect bool) {
	on := make(map[string]int)
	sizes := make(map[int]int)
	different := false
	for _, subset := range drawn {
		sizes[len(subset)]++
		different = different || !slices.Equal(subset, drawn[0])
		for _, name := range subset {
			on[name]++
		}
	}
	everywhere, shared := true, true
	for _, name := range names {
		everywhere = everywhere && on[name] > 0
		shared = shared && on[name] > 1
	}
	edges := len(drawn)
	weight := 1 << 5
	for _, wish := range []bool{
		everywhere,
		different || len(names) == 1,
		sizes[1] < edges || len(names) == 1,
		len(sizes) > 1 || len(names) == 1,
		shared || edges == 2,
		2*sizes[1] <= edges || len(names) == 1,
	} {
		if wish {
			score += weight
		}
		weight /= 2
	}
	return score, score == 1<<6-1
}
