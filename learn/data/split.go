package data

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
)

// soleDomain stands for the domain of rows that name none.
const soleDomain = "all"

// Partition is how a testnet or an experiment divides a data set. No row is in two of Public, Test and the edges' Train.
// Rows with split "validation" are in none, unless PartitionOptions.Validate asks for them.
type Partition struct {
	Public []Row // held out for the super-peers, from the training rows
	Test   []Row // the super-peers' test rows: those of all edges, each once
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
	PublicFraction float64  // of the training rows, from 0 to below 1; without effect if PublicRows is given
	PublicRows     int      // so many training rows, spread over the domains
	RowsPerEdge    int      // at most so many training rows for an edge, drawn at random, and at least minEdgeRows; 0: all
	RowsSpread     float64  // where RowsPerEdge is given, an edge has that divided by up to RowsSpread, to times it, evenly in the logarithm; 0 or 1: that
	ModalityRate   float64  // chance of an edge to have a modality; 0: see chooseModalities
	Modalities     []string // that edges may have; nil: all of the set
	GroupBy        string   // field whose rows are not divided when test or validation rows are held out; "": sequence
	Validate       bool     // score on validation rows, and leave the test rows out of everything
	Seed           uint64
}

// minEdgeRows is the least number of training rows of an edge where RowsPerEdge asks for edges of a size.
const minEdgeRows = 4

// maxRowsSpread bounds RowsSpread.
const maxRowsSpread = 1000

// Check names the first option that no data set can fulfil.
func (opt PartitionOptions) Check() error {
	switch {
	case opt.Edges < 1:
		return fmt.Errorf("%d edges; at least one is needed", opt.Edges)
	case !(opt.PublicFraction >= 0 && opt.PublicFraction < 1):
		return fmt.Errorf("public fraction %g is not from 0 to below 1", opt.PublicFraction)
	case opt.PublicRows < 0:
		return fmt.Errorf("%d public rows", opt.PublicRows)
	case opt.RowsPerEdge < 0 || opt.RowsPerEdge > 0 && opt.RowsPerEdge < minEdgeRows:
		return fmt.Errorf("%d rows an edge; at least %d are needed (0: all)", opt.RowsPerEdge, minEdgeRows)
	case opt.RowsSpread != 0 && !(opt.RowsSpread >= 1 && opt.RowsSpread <= maxRowsSpread):
		return fmt.Errorf("rows spread by %g; it must be 1 to %d (0: all alike)", opt.RowsSpread, maxRowsSpread)
	case opt.RowsSpread > 1 && opt.RowsPerEdge == 0:
		return errors.New("rows are to be spread around no number of rows an edge; say how many")
	case !(opt.ModalityRate >= 0 && opt.ModalityRate <= 1):
		return fmt.Errorf("modality rate %g is not from 0 to 1", opt.ModalityRate)
	}
	return nil
}

// leastRows is the number of training rows without which there is no edge.
func (opt PartitionOptions) leastRows() int {
	if opt.RowsPerEdge > 0 {
		return minEdgeRows
	}
	return 1
}

// unit is what belongs together: the rows of one sequence, or one row without. Rows are named by their index in the set.
type unit struct {
	train, validation, test []int

	reserved bool // its training rows become test rows if the edge has no others
}

// cell is the units of one domain at one edge.
type cell struct {
	domain string
	units  []*unit
}

// Split divides the set by domain; rows without one are the domain "all".
//
// With no more edges than domains an edge gets whole domains, grouped so that training and test rows are spread evenly.
// With more, the training rows of a domain are divided between its edges, neighbours together, and every one of them has
// all of the domain's test rows. Test rows are those with split "test"; edges without, and sets without, have a fifth of
// the training rows, whole groups where there are two. Which these are depends on the set alone, so that what is chosen
// on validation rows with one seed has seen no test row of another.
//
// Public rows are taken from every domain alike: with PublicFraction whole groups where three or more can be chosen
// from, with PublicRows row by row.
//
// An edge's modalities are drawn from those that its rows have; see chooseModalities. Equal options give an equal
// partition.
func (s *Set) Split(opt PartitionOptions) (*Partition, error) {
	if err := opt.Check(); err != nil {
		return nil, fmt.Errorf("splitting data set %s: %w", s.Name, err)
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
	if opt.GroupBy != "" && !slices.ContainsFunc(s.Rows, func(r Row) bool { return r.Field(opt.GroupBy) != "" }) {
		return nil, fmt.Errorf("splitting data set %s: no row has the field %q to group by; there are %s", s.Name, opt.GroupBy, strings.Join(s.fields(), ", "))
	}
	try := func(edges int) (*Partition, error) {
		opt := opt
		opt.Edges = edges
		p := &partitioner{set: s, names: names, groupBy: cmp.Or(opt.GroupBy, "sequence"), rng: rand.New(rand.NewPCG(opt.Seed, 0x5b117))}
		return p.run(opt)
	}
	partition, err := try(opt.Edges)
	if err != nil {
		// More edges hardly ever work where fewer do not.
		possible := sort.Search(opt.Edges-1, func(i int) bool {
			_, err := try(i + 1)
			return err != nil
		})
		if possible > 0 {
			err = fmt.Errorf("%w (%d edges are possible)", err, possible)
		}
		return nil, fmt.Errorf("splitting data set %s between %d edges: %w", s.Name, opt.Edges, err)
	}
	return partition, nil
}

type partitioner struct {
	set     *Set
	names   []string
	groupBy string
	rng     *rand.Rand
}

func (p *partitioner) run(opt PartitionOptions) (*Partition, error) {
	domains := p.domains(opt.Validate)
	if len(domains) == 0 {
		return nil, errors.New("there are no training or test rows")
	}
	whole := opt.Edges <= len(domains) // every edge has whole domains
	var edges [][]cell
	if whole {
		edges = p.group(domains, opt.Edges)
	} else {
		edges = apart(domains)
	}
	for _, cells := range edges {
		if count(cells, testRows) == 0 {
			release(unitsOf(cells))
		}
	}
	public, err := p.public(domains, edges, opt)
	if err != nil {
		return nil, err
	}
	if !whole {
		if edges, err = p.divide(domains, opt.Edges, opt.leastRows()); err != nil {
			return nil, err
		}
	}
	shares := make([]Share, len(edges))
	for i, cells := range edges {
		shares[i] = p.share(cells)
		if len(shares[i].Train) == 0 || len(shares[i].Test) == 0 {
			return nil, fmt.Errorf("edge %d (%s) would have %d training and %d test rows; use fewer edges or more data",
				i+1, shares[i].Domain, len(shares[i].Train), len(shares[i].Test))
		}
	}
	if err := p.chooseModalities(shares, opt.ModalityRate); err != nil {
		return nil, err
	}
	if opt.RowsPerEdge > 0 {
		sizes := opt.edgeRows(len(shares))
		for i := range shares {
			if n := len(shares[i].Train); n < minEdgeRows {
				return nil, fmt.Errorf("edge %d (%s) would have %d training rows, fewer than %d; use fewer edges, fewer public rows or more data",
					i+1, shares[i].Domain, n, minEdgeRows)
			}
			shares[i].Train = p.sample(shares[i].Train, sizes[i])
		}
	}
	var test []int
	for _, u := range unitsOf(domains) {
		test = append(test, u.test...)
	}
	return &Partition{Public: p.rows(public), Test: p.rows(test), Edges: shares}, nil
}

// edgeRows is how many training rows every edge may have. It has a generator of its own: public rows, domains and modalities do not depend
// on the spread.
func (opt PartitionOptions) edgeRows(edges int) []int {
	rng := rand.New(rand.NewPCG(opt.Seed, 0x5123ead))
	sizes := make([]int, edges)
	for i := range sizes {
		sizes[i] = opt.RowsPerEdge
		if opt.RowsSpread > 1 {
			factor := math.Pow(opt.RowsSpread, 2*rng.Float64()-1)
			sizes[i] = max(int(math.Round(factor*float64(opt.RowsPerEdge))), minEdgeRows)
		}
	}
	return sizes
}

// sample draws at most n rows and keeps their order.
func (p *partitioner) sample(rows []Row, n int) []Row {
	if len(rows) <= n {
		return rows
	}
	drawn := p.rng.Perm(len(rows))[:n]
	slices.Sort(drawn)
	sample := make([]Row, n)
	for i, at := range drawn {
		sample[i] = rows[at]
	}
	return sample
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

// domains makes the units of every domain, domains by name and units by first appearance. To validate, the units' test
// rows are validation rows.
func (p *partitioner) domains(validate bool) []cell {
	byName := make(map[string]*cell)
	byGroup := make(map[[2]string]*unit)
	for i, row := range p.set.Rows {
		if row.Split == "validation" && !validate {
			continue
		}
		domain := cmp.Or(row.Domain, soleDomain)
		c := byName[domain]
		if c == nil {
			c = &cell{domain: domain}
			byName[domain] = c
		}
		key := [2]string{domain, row.Field(p.groupBy)}
		u := byGroup[key]
		if u == nil || key[1] == "" {
			u = &unit{}
			byGroup[key] = u
			c.units = append(c.units, u)
		}
		switch row.Split {
		case "test":
			u.test = append(u.test, i)
		case "validation":
			u.validation = append(u.validation, i)
		default:
			u.train = append(u.train, i)
		}
	}
	var domains []cell
	for _, c := range byName {
		domains = append(domains, *c)
	}
	slices.SortFunc(domains, func(a, b cell) int { return strings.Compare(a.domain, b.domain) })
	holdOut(domains, rand.New(rand.NewPCG(0, 0x7e57)))
	if validate {
		p.validate(domains)
	}
	return slices.DeleteFunc(domains, func(c cell) bool { return c.count(trainRows)+c.count(testRows) == 0 })
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
