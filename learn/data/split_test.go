package data_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
	"pgregory.net/rapid"
)

// cohort is so many rows of one domain and sequence ("" for none).
type cohort struct {
	domain, sequence, split string
	rows                    int
}

// made is a set in memory whose rows all have the modalities.
func made(modalities []string, cohorts ...cohort) *data.Set {
	s := &data.Set{Name: "made", Kinds: make(map[string]string)}
	for _, name := range modalities {
		s.Kinds[name] = data.Image
	}
	for _, c := range cohorts {
		for range c.rows {
			row := data.Row{ID: fmt.Sprint(len(s.Rows)), Files: make(map[string]string), Domain: c.domain, Split: c.split, Fields: make(map[string]any)}
			if c.sequence != "" {
				row.Fields["sequence"] = c.sequence
			}
			for _, name := range modalities {
				row.Files[name] = name + ".png"
			}
			s.Rows = append(s.Rows, row)
		}
	}
	return s
}

func split(t testing.TB, s *data.Set, opt data.PartitionOptions) *data.Partition {
	t.Helper()
	p, err := s.Split(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := partitionError(s, opt, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// partitionError tells which promise of Split a partition breaks.
func partitionError(s *data.Set, opt data.PartitionOptions, p *data.Partition) error {
	if len(p.Edges) != opt.Edges {
		return fmt.Errorf("%d edges, want %d", len(p.Edges), opt.Edges)
	}
	place := make(map[string]string) // row -> part
	put := func(rows []data.Row, part string) error {
		for _, row := range rows {
			if before, ok := place[row.ID]; ok {
				return fmt.Errorf("row %s is in %s and %s", row.ID, before, part)
			}
			if row.Split == "validation" && !opt.Validate {
				return fmt.Errorf("validation row %s is in %s", row.ID, part)
			}
			if row.Split == "validation" && part != "test" {
				return fmt.Errorf("validation row %s is in %s", row.ID, part)
			}
			if row.Split == "test" && (opt.Validate || part != "test") {
				return fmt.Errorf("test row %s is in %s", row.ID, part)
			}
			place[row.ID] = part
		}
		return nil
	}
	if err := put(p.Public, "public"); err != nil {
		return err
	}
	if opt.PublicRows > 0 && len(p.Public) != opt.PublicRows {
		return fmt.Errorf("%d public rows, want %d", len(p.Public), opt.PublicRows)
	}
	if err := put(p.Test, "test"); err != nil {
		return err
	}
	domainOf := make(map[string]int)
	domains := make(map[string]bool)
	for _, row := range s.Rows {
		if row.Split != "validation" {
			domains[row.Domain] = true
		}
	}
	for i, share := range p.Edges {
		if len(share.Train) == 0 || len(share.Test) == 0 || len(share.Modalities) == 0 {
			return fmt.Errorf("edge %d has %d training rows, %d test rows and modalities %v", i, len(share.Train), len(share.Test), share.Modalities)
		}
		if !slices.IsSorted(share.Modalities) {
			return fmt.Errorf("edge %d's modalities %v are not in order", i, share.Modalities)
		}
		most := max(4, int(math.Round(float64(opt.RowsPerEdge)*max(opt.RowsSpread, 1))))
		if n := len(share.Train); opt.RowsPerEdge > 0 && (n < 4 || n > most) {
			return fmt.Errorf("edge %d has %d training rows, want 4 to %d", i, n, most)
		}
		if err := put(share.Train, fmt.Sprintf("edge %d's training rows", i)); err != nil {
			return err
		}
		for _, row := range share.Test {
			if place[row.ID] != "test" {
				return fmt.Errorf("edge %d's test row %s is not the super-peers'", i, row.ID)
			}
		}
		for _, row := range slices.Concat(share.Train, share.Test) {
			if !slices.ContainsFunc(share.Modalities, row.Has) {
				return fmt.Errorf("row %s has none of edge %d's modalities %v", row.ID, i, share.Modalities)
			}
			if other, ok := domainOf[row.Domain]; ok && other != i && opt.Edges <= len(domains) && !opt.Validate {
				return fmt.Errorf("domain %q is on edges %d and %d", row.Domain, other, i)
			}
			domainOf[row.Domain] = i
		}
	}
	return nil
}

func TestSplitKeepsItsPromises(t *testing.T) {
	modalities := []string{"audio", "image", "sensor"}
	rapid.Check(t, func(t *rapid.T) {
		s := made(nil)
		for m := range rapid.IntRange(1, 3).Draw(t, "modalities") {
			s.Kinds[modalities[m]] = data.Image
		}
		names := s.Modalities()
		complete := rapid.Bool().Draw(t, "complete")
		for d := range rapid.IntRange(1, 6).Draw(t, "domains") {
			for q := range rapid.IntRange(1, 5).Draw(t, "sequences") {
				sequence := rapid.SampledFrom([]string{"", fmt.Sprint(q)}).Draw(t, "sequence")
				kind := rapid.SampledFrom([]string{"", "train", "train", "test", "validation"}).Draw(t, "split")
				part := made(names, cohort{fmt.Sprint(d), sequence, kind, rapid.IntRange(1, 12).Draw(t, "rows")})
				for _, row := range part.Rows {
					row.ID = fmt.Sprint(len(s.Rows))
					if !complete {
						delete(row.Files, rapid.SampledFrom(modalities).Draw(t, "missing"))
					}
					if len(row.Files) > 0 {
						s.Rows = append(s.Rows, row)
					}
				}
			}
		}
		opt := data.PartitionOptions{
			Edges:          rapid.IntRange(1, 8).Draw(t, "edges"),
			PublicFraction: rapid.SampledFrom([]float64{0, 0.2, 0.5}).Draw(t, "public"),
			PublicRows:     rapid.SampledFrom([]int{0, 0, 1, 7, 40}).Draw(t, "public rows"),
			RowsPerEdge:    rapid.SampledFrom([]int{0, 0, 4, 10}).Draw(t, "rows per edge"),
			RowsSpread:     rapid.SampledFrom([]float64{0, 1, 3}).Draw(t, "rows spread"),
			ModalityRate:   rapid.SampledFrom([]float64{0, 0, 0.1, 0.5, 1}).Draw(t, "rate"),
			Validate:       rapid.Bool().Draw(t, "validate"),
			Seed:           rapid.Uint64().Draw(t, "seed"),
		}
		if opt.RowsPerEdge == 0 {
			opt.RowsSpread = 0
		}
		p, err := s.Split(opt)
		again, errAgain := s.Split(opt)
		if !reflect.DeepEqual(p, again) || (err == nil) != (errAgain == nil) {
			t.Fatal("equal options give another partition")
		}
		if err != nil {
			if p != nil {
				t.Fatal("both a partition and an error")
			}
			return
		}
		if err := partitionError(s, opt, p); err != nil {
			t.Fatal(err)
		}
		if complete && opt.Edges > 1 && len(names) > 1 && opt.ModalityRate == 0 {
			if err := modalityError(p, names); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// modalityError tells what is wrong with the edges' modalities where every row has all of them.
func modalityError(p *data.Partition, names []string) error {
	on := make(map[string]int)
	differ, several := false, false
	for _, share := range p.Edges {
		differ = differ || !slices.Equal(share.Modalities, p.Edges[0].Modalities)
		several = several || len(share.Modalities) > 1
		for _, name := range share.Modalities {
			on[name]++
		}
	}
	switch {
	case !differ:
		return fmt.Errorf("all edges have %v", p.Edges[0].Modalities)
	case !several:
		return fmt.Errorf("no edge has two modalities")
	}
	for _, name := range names {
		if on[name] == 0 {
			return fmt.Errorf("no edge has %s", name)
		}
	}
	return nil
}

func TestSplit(t *testing.T) {
	both := []string{"image", "sensor"}
	sizes := func(p *data.Partition) (train, test []int) {
		for _, share := range p.Edges {
			train, test = append(train, len(share.Train)), append(test, len(share.Test))
		}
		return train, test
	}
	t.Run("an edge per domain", func(t *testing.T) {
		s := made(both, cohort{"a", "", "train", 30}, cohort{"a", "", "test", 10}, cohort{"b", "", "train", 20}, cohort{"b", "", "test", 5})
		p := split(t, s, data.PartitionOptions{Edges: 2})
		domains := []string{p.Edges[0].Domain, p.Edges[1].Domain}
		slices.Sort(domains)
		if !slices.Equal(domains, []string{"a", "b"}) || len(p.Public) != 0 || len(p.Test) != 15 {
			t.Errorf("domains %v, %d public and %d test rows", domains, len(p.Public), len(p.Test))
		}
	})
	t.Run("domains are grouped evenly", func(t *testing.T) {
		s := made(both,
			cohort{"a", "", "train", 50}, cohort{"a", "", "test", 5}, cohort{"b", "", "train", 30}, cohort{"b", "", "test", 5},
			cohort{"c", "", "train", 30}, cohort{"c", "", "test", 5}, cohort{"d", "", "train", 10}, cohort{"d", "", "test", 5})
		train, test := sizes(split(t, s, data.PartitionOptions{Edges: 2}))
		if !slices.Equal(train, []int{60, 60}) || !slices.Equal(test, []int{10, 10}) {
			t.Errorf("training rows %v, test rows %v", train, test)
		}
	})
	t.Run("a domain without test rows joins one that has some", func(t *testing.T) {
		s := made(both, cohort{"a", "", "train", 30}, cohort{"b", "", "train", 30}, cohort{"c", "", "train", 30},
			cohort{"c", "", "test", 10}, cohort{"d", "", "train", 30}, cohort{"d", "", "test", 10})
		train, test := sizes(split(t, s, data.PartitionOptions{Edges: 2}))
		if !slices.Equal(train, []int{60, 60}) || !slices.Equal(test, []int{10, 10}) {
			t.Errorf("training rows %v, test rows %v", train, test)
		}
	})
	t.Run("an edge without test rows gets a fifth of its sequences", func(t *testing.T) {
		s := made(both, cohort{"a", "", "train", 30}, cohort{"a", "", "test", 10})
		for q := range 5 {
			s.Rows = append(s.Rows, made(both, cohort{"b", fmt.Sprint(q), "train", 6}).Rows...)
		}
		for i := range s.Rows {
			s.Rows[i].ID = fmt.Sprint(i)
		}
		p := split(t, s, data.PartitionOptions{Edges: 2})
		train, test := sizes(p)
		if slices.Sort(train); !slices.Equal(train, []int{24, 30}) || len(p.Test) != 16 {
			t.Errorf("training rows %v, test rows %v", train, test)
		}
		if slices.Sort(test); !slices.Equal(test, []int{6, 10}) {
			t.Errorf("test rows %v", test)
		}
	})
	t.Run("no split at all", func(t *testing.T) {
		p := split(t, made(both, cohort{"", "", "", 100}), data.PartitionOptions{Edges: 2, PublicFraction: 0.25})
		train, test := sizes(p)
		if !slices.Equal(train, []int{30, 30}) || !slices.Equal(test, []int{20, 20}) || len(p.Public) != 20 || p.Edges[0].Domain != "all" {
			t.Errorf("training rows %v, test rows %v, %d public; domain %q", train, test, len(p.Public), p.Edges[0].Domain)
		}
	})
	t.Run("one sequence alone gives its end", func(t *testing.T) {
		p := split(t, made(both, cohort{"a", "s", "train", 10}), data.PartitionOptions{Edges: 1})
		if p.Test[0].ID != "8" || len(p.Test) != 2 {
			t.Errorf("test rows %v", p.Test)
		}
	})
	t.Run("one edge has all modalities", func(t *testing.T) {
		p := split(t, made(both, cohort{"a", "", "", 10}), data.PartitionOptions{Edges: 1})
		if !slices.Equal(p.Edges[0].Modalities, both) {
			t.Errorf("modalities %v", p.Edges[0].Modalities)
		}
	})
	t.Run("chosen modalities only", func(t *testing.T) {
		p := split(t, made(both, cohort{"a", "", "", 10}), data.PartitionOptions{Edges: 2, Modalities: []string{"sensor"}})
		for _, share := range p.Edges {
			if !slices.Equal(share.Modalities, []string{"sensor"}) {
				t.Errorf("modalities %v", share.Modalities)
			}
		}
	})
	t.Run("public rows are whole sequences from every domain", func(t *testing.T) {
		var cohorts []cohort
		for d := range 4 {
			for q := range 10 {
				cohorts = append(cohorts, cohort{fmt.Sprint(d), fmt.Sprint(q), []string{"train", "test"}[min(q/8, 1)], 5})
			}
		}
		p := split(t, made(both, cohorts...), data.PartitionOptions{Edges: 2, PublicFraction: 0.25})
		rows, domains := make(map[string]int), make(map[string]int)
		for _, row := range p.Public {
			rows[row.Domain+"/"+row.Sequence()]++
			domains[row.Domain]++
		}
		for sequence, n := range rows {
			if n != 5 {
				t.Errorf("%d of 5 rows of sequence %s are public", n, sequence)
			}
		}
		if want := map[string]int{"0": 10, "1": 10, "2": 10, "3": 10}; !reflect.DeepEqual(domains, want) {
			t.Errorf("public rows by domain %v, want %v", domains, want)
		}
	})
	t.Run("public rows have all modalities where enough do", func(t *testing.T) {
		s := made(both, cohort{"a", "", "train", 100}, cohort{"a", "", "test", 10})
		for i := range 60 {
			delete(s.Rows[i].Files, "image")
		}
		for _, row := range split(t, s, data.PartitionOptions{Edges: 1, PublicFraction: 0.2}).Public {
			if !row.Has("image") || !row.Has("sensor") {
				t.Errorf("public row %s has only %v", row.ID, row.Files)
			}
		}
	})
	t.Run("the seed matters", func(t *testing.T) {
		s := made(both, cohort{"", "", "", 100})
		a := split(t, s, data.PartitionOptions{Edges: 2, PublicFraction: 0.25, Seed: 1})
		b := split(t, s, data.PartitionOptions{Edges: 2, PublicFraction: 0.25, Seed: 2})
		if reflect.DeepEqual(a.Public, b.Public) {
			t.Error("two seeds, the same public rows")
		}
	})
}

func TestSplitErrors(t *testing.T) {
	s := made([]string{"image"}, cohort{"a", "x", "train", 5}, cohort{"a", "y", "train", 5}, cohort{"a", "", "test", 5})
	cases := []struct {
		name string
		set  *data.Set
		opt  data.PartitionOptions
		want string
	}{
		{"no edges", s, data.PartitionOptions{}, "0 edges"},
		{"fraction", s, data.PartitionOptions{Edges: 1, PublicFraction: 1}, "public fraction 1"},
		{"fraction NaN", s, data.PartitionOptions{Edges: 1, PublicFraction: math.NaN()}, "public fraction NaN"},
		{"modality", s, data.PartitionOptions{Edges: 1, Modalities: []string{"smell"}}, `no row has modality "smell"; it has image`},
		{"more edges than rows", s, data.PartitionOptions{Edges: 11}, "the 10 training rows that are left make 10 edges of 1 rows at least; use fewer edges, fewer public rows or more data (10 edges are possible)"},
		{"edges of a size", s, data.PartitionOptions{Edges: 3, RowsPerEdge: 20, PublicRows: 1}, "(2 edges are possible)"},
		{"all public", s, data.PartitionOptions{Edges: 1, PublicRows: 10}, "10 public rows of 10 training rows"},
		{"public rows", s, data.PartitionOptions{Edges: 1, PublicRows: -1}, "-1 public rows"},
		{"rows an edge", s, data.PartitionOptions{Edges: 1, RowsPerEdge: 3}, "3 rows an edge; at least 4"},
		{"a spread of rows", s, data.PartitionOptions{Edges: 1, RowsPerEdge: 5, RowsSpread: 0.5}, "spread by 0.5"},
		{"a spread around nothing", s, data.PartitionOptions{Edges: 1, RowsSpread: 2}, "say how many"},
		{"rate", s, data.PartitionOptions{Edges: 1, ModalityRate: math.NaN()}, "modality rate NaN"},
		{"group by", s, data.PartitionOptions{Edges: 1, GroupBy: "person"}, `no row has the field "person" to group by; there are sequence, target`},
		{"nothing to learn from", made([]string{"image"}, cohort{"a", "", "test", 5}), data.PartitionOptions{Edges: 1}, "0 training and 5 test rows"},
		{"a single row", made([]string{"image"}, cohort{"a", "", "", 1}), data.PartitionOptions{Edges: 1}, "1 training and 0 test rows"},
		{"validation only", made([]string{"image"}, cohort{"a", "", "validation", 5}), data.PartitionOptions{Edges: 1}, "no training or test rows"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := c.set.Split(c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestSplitRealData(t *testing.T) {
	cases := []struct {
		name                    string
		edges                   int
		leastTrain, leastTest   int
		wantTest, wantPublicMin int
	}{
		{"urfall", 3, 80, 30, 144, 85},
		{"urfall", 4, 60, 10, 144, 85},
		{"urfall", 12, 10, 5, 144, 75},
		{"av_digits", 3, 700, 100, 300, 540},
		{"av_digits", 4, 350, 50, 300, 540},
		{"av_digits", 12, 170, 25, 300, 540},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s, %d edges", c.name, c.edges), func(t *testing.T) {
			s := shared(t, c.name)
			p := split(t, s, data.PartitionOptions{Edges: c.edges, PublicFraction: 0.2, Seed: 7})
			t.Logf("%d public rows, %d test rows", len(p.Public), len(p.Test))
			for i, share := range p.Edges {
				t.Logf("edge %2d: %3d training and %3d test rows, %v, %s", i+1, len(share.Train), len(share.Test), share.Modalities, share.Domain)
				if len(share.Train) < c.leastTrain || len(share.Test) < c.leastTest {
					t.Errorf("edge %d has too few rows", i+1)
				}
			}
			if err := modalityError(p, s.Modalities()); err != nil {
				t.Error(err)
			}
			if len(p.Test) != c.wantTest || len(p.Public) < c.wantPublicMin {
				t.Errorf("%d test and %d public rows", len(p.Test), len(p.Public))
			}
		})
	}
}
