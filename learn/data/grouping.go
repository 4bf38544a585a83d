package data

import (
	"cmp"
	"fmt"
	"slices"
)

// maxSwapDomains bounds the number of domains for which group tries to better its greedy start, which takes time with
// the square of it.
const maxSwapDomains = 100

// group deals whole domains out to at most as many edges, so that training and test rows are spread evenly and every
// edge has both, if it can be had.
func (p *partitioner) group(domains []cell, edges int) [][]cell {
	b := balance{domains: domains, at: make([]int, len(domains)), edges: edges}
	order := make([]int, len(domains))
	for i := range order {
		order[i] = i
	}
	p.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	rows := func(i int) int { return domains[i].count(trainRows) + domains[i].count(testRows) }
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(rows(j), rows(i)) })
	// Largest first, each to the edge with the fewest rows; an empty edge comes first, so none stays without.
	load := make([]int, edges)
	for _, i := range order {
		least := 0
		for e := range load {
			if load[e] < load[least] {
				least = e
			}
		}
		b.at[i] = least
		load[least] += max(rows(i), 1)
	}
	if len(domains) <= maxSwapDomains {
		b.improve()
	}
	groups := make([][]cell, edges)
	for i, domain := range domains {
		groups[b.at[i]] = append(groups[b.at[i]], domain)
	}
	return groups
}

// balance is an assignment of domains to edges.
type balance struct {
	domains []cell
	at      []int // edge of each domain
	edges   int
}

// cost is the sum of squared relative deviations from an even spread, with a price that outweighs them on every edge
// without training or test rows.
func (b *balance) cost() float64 {
	train, test := make([]float64, b.edges), make([]float64, b.edges)
	trains, tests := 0.0, 0.0
	for i, c := range b.domains {
		n, m := float64(c.count(trainRows)), float64(c.count(testRows))
		train[b.at[i]] += n
		test[b.at[i]] += m
		trains, tests = trains+n, tests+m
	}
	const lacking = 1000
	cost := 0.0
	for e := range b.edges {
		for _, share := range []struct{ rows, all float64 }{{train[e], trains}, {test[e], tests}} {
			if share.all == 0 {
				continue
			}
			d := share.rows*float64(b.edges)/share.all - 1
			cost += d * d
			if share.rows == 0 {
				cost += lacking
			}
		}
	}
	return cost
}

// improve moves one domain or swaps two as long as that lowers the cost.
func (b *balance) improve() {
	size := make([]int, b.edges)
	for _, e := range b.at {
		size[e]++
	}
	best := b.cost()
	better := func() bool {
		if c := b.cost(); c < best-1e-9 {
			best = c
			return true
		}
		return false
	}
	for changed := true; changed; {
		changed = false
		for i := range b.at {
			for e := range b.edges {
				if from := b.at[i]; e != from && size[from] > 1 {
					b.at[i] = e
					if better() {
						size[from]--
						size[e]++
						changed = true
					} else {
						b.at[i] = from
					}
				}
			}
			for j := range i {
				b.at[i], b.at[j] = b.at[j], b.at[i]
				if better() {
					changed = true
				} else {
					b.at[i], b.at[j] = b.at[j], b.at[i]
				}
			}
		}
	}
}

// apart is every domain by itself.
func apart(domains []cell) [][]cell {
	edges := make([][]cell, len(domains))
	for i := range domains {
		edges[i] = domains[i : i+1]
	}
	return edges
}

// divide splits domains between more edges than there are domains. Every domain has one edge, and the next one goes
// where most rows come on an edge, as long as every edge has at least so many training rows.
func (p *partitioner) divide(domains []cell, edges, least int) ([][]cell, error) {
	total := count(domains, trainRows)
	domains = merge(domains, least)
	parts := make([]int, len(domains))
	for i := range parts {
		parts[i] = 1
	}
	for n := len(domains); n < edges; n++ {
		next := -1
		for i, c := range domains {
			rows := c.count(trainRows)
			if rows >= least*(parts[i]+1) && (next < 0 || rows*parts[next] > domains[next].count(trainRows)*parts[i]) {
				next = i
			}
		}
		if next < 0 {
			return nil, fmt.Errorf("the %d training rows that are left make %d edges of %d rows at least; use fewer edges, fewer public rows or more data", total, n, least)
		}
		parts[next]++
	}
	var out [][]cell
	for i, c := range domains {
		out = append(out, p.deal(c, parts[i])...)
	}
	return out, nil
}

// merge joins domains with fewer training rows than least, or without test rows, to the one with the fewest of the others.
func merge(domains []cell, least int) []cell {
	domains = slices.Clone(domains)
	slices.SortStableFunc(domains, func(a, b cell) int { return cmp.Compare(a.count(trainRows), b.count(trainRows)) })
	small := func(c cell) bool { return c.count(trainRows) < least || c.count(testRows) == 0 }
	for len(domains) > 1 {
		i := slices.IndexFunc(domains, small)
		if i < 0 {
			break
		}
		to := 0
		if i == 0 {
			to = 1
		}
		joined := cell{domain: domains[i].domain + "+" + domains[to].domain, units: unitsOf([]cell{domains[i], domains[to]})}
		domains[to] = joined
		domains = slices.Delete(domains, i, i+1)
	}
	slices.SortFunc(domains, func(a, b cell) int { return cmp.Compare(a.domain, b.domain) })
	return domains
}

// deal splits one domain's training rows into equal parts, which share its test rows. Units are cut only where two parts
// meet.
func (p *partitioner) deal(c cell, parts int) [][]cell {
	units := slices.Clone(c.units)
	p.rng.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	var all unit
	for _, u := range units {
		all.train, all.test = append(all.train, u.train...), append(all.test, u.test...)
	}
	edges := make([][]cell, parts)
	for i := range edges {
		from, to := i*len(all.train)/parts, (i+1)*len(all.train)/parts
		edges[i] = []cell{{domain: c.domain, units: []*unit{{train: all.train[from:to], test: all.test}}}}
	}
	return edges
}
