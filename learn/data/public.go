package data

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// public takes the public rows out of the training rows.
func (p *partitioner) public(domains []cell, edges [][]cell, opt PartitionOptions) ([]int, error) {
	if opt.PublicRows > 0 {
		return p.takeRows(domains, opt.PublicRows, opt.Seed)
	}
	public := p.takeFraction(edges, opt.PublicFraction)
	if opt.PublicFraction > 0 && len(public) == 0 {
		return nil, fmt.Errorf("too few training rows to set %g of them aside as public rows", opt.PublicFraction)
	}
	return public, nil
}

// takeRows removes n training rows, from every domain in proportion to those it has. Rows with all modalities go first:
// the super-peers teach every modality from them. However many edges there are, the same rows are public.
func (p *partitioner) takeRows(domains []cell, n int, seed uint64) ([]int, error) {
	rng := rand.New(rand.NewPCG(seed, 0x9b11c))
	total := count(domains, trainRows)
	if n >= total {
		return nil, fmt.Errorf("%d public rows of %d training rows leave none for the edges; take fewer", n, total)
	}
	var public []int
	seen := 0
	for _, c := range domains {
		seen += c.count(trainRows)
		var rows []int
		for _, u := range c.units {
			rows = append(rows, u.train...)
		}
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		slices.SortStableFunc(rows, func(a, b int) int { return p.lacks(a) - p.lacks(b) })
		rows = rows[:n*seen/total-len(public)]
		c.remove(rows)
		public = append(public, rows...)
	}
	return public, nil
}

// lacks is 0 for a row with all modalities, else 1.
func (p *partitioner) lacks(row int) int {
	if p.hasAll(p.set.Rows[row]) {
		return 0
	}
	return 1
}

// remove takes rows out of the training rows.
func (c cell) remove(rows []int) {
	gone := make(map[int]bool, len(rows))
	for _, i := range rows {
		gone[i] = true
	}
	for _, u := range c.units {
		u.train = slices.DeleteFunc(slices.Clone(u.train), func(i int) bool { return gone[i] })
	}
}

// minChoice is the number of units in a cell from which on public rows are whole units.
const minChoice = 3

// takeFraction removes about the fraction of every cell's training rows and yields them. What one cell cannot give exactly
// the next ones make up for.
func (p *partitioner) takeFraction(edges [][]cell, fraction float64) []int {
	if fraction == 0 {
		return nil
	}
	var public []int
	owed := 0.0
	for _, cells := range edges {
		for _, c := range cells {
			owed += fraction * float64(c.count(trainRows))
			taken := p.takeFrom(c, owed)
			owed -= float64(len(taken))
			public = append(public, taken...)
		}
	}
	return public
}

func (p *partitioner) takeFrom(c cell, target float64) []int {
	units := withTraining(c.units)
	if target < 0.5 || len(units) == 0 {
		return nil
	}
	var taken []int
	if len(units) >= minChoice {
		for _, u := range pick(p.preferComplete(units, target), target, p.rng) {
			taken = append(taken, u.train...)
			u.train = nil
		}
		return taken
	}
	var all []int
	for _, u := range units {
		all = append(all, u.train...)
	}
	p.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	taken = all[:min(int(target+0.5), len(all)-1)]
	c.remove(taken)
	return taken
}

// preferComplete is the units whose rows have all modalities, if they can make up the target: the super-peers teach every
// modality from the public rows.
func (p *partitioner) preferComplete(units []*unit, target float64) []*unit {
	var complete []*unit
	n := 0
	for _, u := range units {
		if !slices.ContainsFunc(u.train, func(i int) bool { return !p.hasAll(p.set.Rows[i]) }) {
			complete = append(complete, u)
			n += len(u.train)
		}
	}
	if len(complete) >= 2 && float64(n) > target {
		return complete
	}
	return units
}

func (p *partitioner) hasAll(row Row) bool {
	return !slices.ContainsFunc(p.names, func(name string) bool { return !row.Has(name) })
}
