package data

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Shares of rows that Split holds out as test rows where there are none.
const testShare = 0.2

// soleDomain stands for the domain of rows that name none.
const soleDomain = "all"

// Partition is how a testnet or an experiment divides a data set. No row is in two of Public, the edges' Train and Test;
// rows with split "validation" are in none.
type Partition struct {
	Public []Row // held out for the super-peers, from the training rows
	Test   []Row // the super-peers' test rows: the edges' test rows together
	Edges  []Share
}

// Share is one edge's part.
type Share struct {
	Domain      string // names joined with "+"
	Train, Test []Row  // of those that have one of the modalities
	Modalities  []string
}

// PartitionOptions of Split.
type PartitionOptions struct {
	Edges          int
	PublicFraction float64  // of the training rows, from 0 to below 1
	Modalities     []string // that edges may have; nil: all of the set
	Seed           uint64
}

// unit is what is never divided between edges or between training and test, if that can be helped: the rows of one
// sequence, or one row without. Rows are named by their index in the set.
type unit struct {
	train, test []int
}

// cell is the units of one domain at one edge.
type cell struct {
	domain string
	units  []*unit
}

// Split divides the set by domain; rows without one are the domain "all".
//
// With no more edges than domains an edge gets whole domains, grouped so that training and test rows are spread evenly;
// with more, domains are divided in turn, by the field "sequence" where rows have it and else row by row. An edge without
// test rows, and a set without any, gets a fifth of its training rows as test rows, whole sequences where there are two.
// Public rows are taken from every edge's domains alike, whole sequences where three or more can be chosen from.
//
// An edge's modalities are drawn from those that its rows have; see chooseModalities. Equal options give an equal
// partition.
func (s *Set) Split(opt PartitionOptions) (*Partition, error) {
	if opt.Edges < 1 {
		return nil, fmt.Errorf("splitting data set %s: %d edges; at least one is needed", s.Name, opt.Edges)
	}
	if !(opt.PublicFraction >= 0 && opt.PublicFraction < 1) {
		return nil, fmt.Errorf("splitting data set %s: public fraction %g is not from 0 to below 1", s.Name, opt.PublicFraction)
	}
	names := opt.Modalities
	if names == nil {
		names = s.Modalities()
	}
	for _, name := range names {
		if s.Kinds[name] == "" {
			return nil, fmt.Errorf("splitting data set %s: no row has modality %q; it has %s", s.Name, name, strings.Join(s.Modalities(), ", "))
		}
	}
	p := &partitioner{set: s, names: names, rng: rand.New(rand.NewPCG(opt.Seed, 0x5b117))}
	partition, err := p.run(opt)
	if err != nil {
		return nil, fmt.Errorf("splitting data set %s between %d edges: %w", s.Name, opt.Edges, err)
	}
	return partition, nil
}

type partitioner struct {
	set   *Set
	names []string
	rng   *rand.Rand
}

func (p *partitioner) run(opt PartitionOptions) (*Partition, error) {
	domains := p.domains()
	if len(domains) == 0 {
		return nil, errors.New("there are no training or test rows")
	}
	if !slices.ContainsFunc(domains, func(c cell) bool { return c.count(testRows) > 0 }) {
		for _, domain := range domains {
			p.holdOut(domain.units)
		}
	}
	var edges [][]cell
	var err error
	if opt.Edges <= len(domains) {
		edges = p.group(domains, opt.Edges)
	} else if edges, err = p.divide(domains, opt.Edges); err != nil {
		return nil, err
	}
	for _, cells := range edges {
		if count(cells, testRows) == 0 {
			p.holdOut(unitsOf(cells))
		}
	}
	public := p.takePublic(edges, opt.PublicFraction)
	if opt.PublicFraction > 0 && len(public) == 0 {
		return nil, fmt.Errorf("too few training rows to set %g of them aside as public rows", opt.PublicFraction)
	}
	shares := make([]Share, len(edges))
	for i, cells := range edges {
		shares[i] = p.share(cells)
		if len(shares[i].Train) == 0 || len(shares[i].Test) == 0 {
			return nil, fmt.Errorf("edge %d (%s) would have %d training and %d test rows; use fewer edges or more data",
				i+1, shares[i].Domain, len(shares[i].Train), len(shares[i].Test))
		}
	}
	if err := p.chooseModalities(shares); err != nil {
		return nil, err
	}
	var test []int
	for _, cells := range edges {
		for _, u := range unitsOf(cells) {
			test = append(test, u.test...)
		}
	}
	return &Partition{Public: p.rows(public), Test: p.rows(test), Edges: shares}, nil
}

// rows are the set's rows in its own order.
func (p *partitioner) rows(indices []int) []Row {
	slices.Sort(indices)
	rows := make([]Row, len(indices))
	for i, index := range indices {
		rows[i] = p.set.Rows[index]
	}
	return rows
}

func (p *partitioner) share(cells []cell) Share {
	var share Share
	var train, test []int
	var domains []string
	for _, c := range cells {
		domains = append(domains, c.domain)
		for _, u := range c.units {
			train, test = append(train, u.train...), append(test, u.test...)
		}
	}
	slices.Sort(domains)
	share.Domain = strings.Join(domains, "+")
	share.Train, share.Test = p.rows(train), p.rows(test)
	return share
}

// domains makes the units of every domain, domains by name and units by first appearance.
func (p *partitioner) domains() []cell {
	byName := make(map[string]*cell)
	bySequence := make(map[[2]string]*unit)
	for i, row := range p.set.Rows {
		if row.Split == "validation" {
			continue
		}
		domain := cmp.Or(row.Domain, soleDomain)
		c := byName[domain]
		if c == nil {
			c = &cell{domain: domain}
			byName[domain] = c
		}
		key := [2]string{domain, row.Sequence()}
		u := bySequence[key]
		if u == nil || key[1] == "" {
			u = &unit{}
			bySequence[key] = u
			c.units = append(c.units, u)
		}
		if row.Split == "test" {
			u.test = append(u.test, i)
		} else {
			u.train = append(u.train, i)
		}
	}
	var domains []cell
	for _, c := range byName {
		domains = append(domains, *c)
	}
	slices.SortFunc(domains, func(a, b cell) int { return strings.Compare(a.domain, b.domain) })
	return domains
}

func trainRows(u *unit) int { return len(u.train) }
func testRows(u *unit) int  { return len(u.test) }

func (c cell) count(of func(*unit) int) int {
	n := 0
	for _, u := range c.units {
		n += of(u)
	}
	return n
}

func count(cells []cell, of func(*unit) int) int {
	n := 0
	for _, c := range cells {
		n += c.count(of)
	}
	return n
}

func unitsOf(cells []cell) []*unit {
	var units []*unit
	for _, c := range cells {
		units = append(units, c.units...)
	}
	return units
}

// withTraining is the units that have training rows.
func withTraining(units []*unit) []*unit {
	var with []*unit
	for _, u := range units {
		if len(u.train) > 0 {
			with = append(with, u)
		}
	}
	return with
}

// holdOut turns about a fifth of the units' training rows into test rows: whole units, or the end of the only one.
func (p *partitioner) holdOut(units []*unit) {
	units = withTraining(units)
	total := 0
	for _, u := range units {
		total += len(u.train)
	}
	switch {
	case total < 2:
		return
	case len(units) == 1:
		u := units[0]
		at := min(total-int(testShare*float64(total)+0.5), total-1)
		u.train, u.test = u.train[:at:at], append(u.test, u.train[at:]...)
	default:
		for _, u := range p.pick(units, testShare*float64(total)) {
			u.train, u.test = nil, append(u.test, u.train...)
		}
	}
}

// pick draws units whose training rows come close to target, at least one and never all of them. It wants two or more.
func (p *partitioner) pick(units []*unit, target float64) []*unit {
	shuffled := slices.Clone(units)
	p.rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var picked []*unit
	sum := 0.0
	for _, u := range shuffled {
		n := float64(len(u.train))
		if abs(sum+n-target) < abs(sum-target) && len(picked) < len(units)-1 {
			picked = append(picked, u)
			sum += n
		}
	}
	if len(picked) == 0 {
		picked = append(picked, slices.MinFunc(shuffled, func(a, b *unit) int { return cmp.Compare(len(a.train), len(b.train)) }))
	}
	return picked
}

func abs(x float64) float64 { return max(x, -x) }

// minChoice is the number of units in a cell from which on public rows are whole units.
const minChoice = 3

// takePublic removes about the fraction of every cell's training rows and yields them. What one cell cannot give exactly
// the next ones make up for.
func (p *partitioner) takePublic(edges [][]cell, fraction float64) []int {
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
		for _, u := range p.pick(p.preferComplete(units, target), target) {
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
	for _, u := range units {
		u.train = slices.DeleteFunc(slices.Clone(u.train), func(i int) bool { return slices.Contains(taken, i) })
	}
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
