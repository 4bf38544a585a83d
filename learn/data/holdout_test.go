package data_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
)

func ids(rows ...[]data.Row) map[string]bool {
	set := make(map[string]bool)
	for _, row := range slices.Concat(rows...) {
		set[row.ID] = true
	}
	return set
}

func overlap(a, b map[string]bool) int {
	n := 0
	for id := range a {
		if b[id] {
			n++
		}
	}
	return n
}

// used are all rows that somebody learns from or is scored on.
func used(p *data.Partition) map[string]bool {
	all := [][]data.Row{p.Public, p.Test}
	for _, share := range p.Edges {
		all = append(all, share.Train, share.Test)
	}
	return ids(all...)
}

// sequences makes so many sequences of 5 rows in every domain.
func sequences(domains, number int, split string) []cohort {
	var cohorts []cohort
	for d := range domains {
		for q := range number {
			cohorts = append(cohorts, cohort{fmt.Sprint("home-", d), fmt.Sprint(d, split, q), split, 5})
		}
	}
	return cohorts
}

func TestValidationSeesNoTestRowOfAnySeed(t *testing.T) {
	both := []string{"image", "sensor"}
	lonely := []cohort{{"a", "", "", 1}, {"b", "", "", 1}, {"c", "", "", 1}, {"d", "", "", 1}, {"e", "", "", 1}, {"f", "", "", 40}}
	cases := []struct {
		name  string
		set   *data.Set
		edges int
	}{
		{"test rows in every domain", made(both, append(sequences(3, 8, "train"), sequences(3, 2, "test")...)...), 3},
		{"test rows in one of three domains", made(both, append(sequences(3, 8, "train"), sequences(1, 2, "test")...)...), 3},
		{"the same, more edges", made(both, append(sequences(3, 8, "train"), sequences(1, 2, "test")...)...), 7},
		{"no test rows", made(both, sequences(3, 10, "train")...), 3},
		{"the same, more edges", made(both, sequences(3, 10, "train")...), 7},
		{"no domains, no sequences, no split", made(both, cohort{"", "", "", 100}), 4},
		{"one sequence", made(both, cohort{"a", "s", "", 60}), 2},
		{"domains of one row", made(both, lonely...), 2},
		{"validation rows", made(both, slices.Concat(sequences(3, 8, "train"), sequences(3, 2, "validation"), sequences(3, 2, "test"))...), 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tested := make(map[string]bool)
			for seed := range uint64(8) {
				p := split(t, c.set, data.PartitionOptions{Edges: c.edges, Seed: seed})
				for id := range ids(p.Test) {
					tested[id] = true
				}
			}
			for seed := range uint64(8) {
				p := split(t, c.set, data.PartitionOptions{Edges: c.edges, PublicRows: 5, Seed: seed, Validate: true})
				if n := overlap(used(p), tested); n > 0 {
					t.Errorf("seed %d: %d rows that are test rows of some seed", seed, n)
				}
				if len(p.Test) == 0 {
					t.Errorf("seed %d: no validation rows", seed)
				}
			}
		})
	}
}

func TestValidationRowsAreThoseOfTheSet(t *testing.T) {
	s := made([]string{"image"}, slices.Concat(sequences(2, 6, "train"), sequences(2, 2, "validation"), sequences(2, 2, "test"))...)
	for _, edges := range []int{1, 2, 5} {
		p := split(t, s, data.PartitionOptions{Edges: edges, Validate: true})
		if len(p.Test) != 20 || slices.ContainsFunc(p.Test, func(r data.Row) bool { return r.Split != "validation" }) {
			t.Errorf("%d edges: %d rows are scored, want the 20 validation rows", edges, len(p.Test))
		}
	}
}

func TestHeldOutRowsAreWholeGroups(t *testing.T) {
	s := made([]string{"image"}, sequences(2, 10, "train")...)
	for i, row := range s.Rows {
		row.Fields["person"] = fmt.Sprint(row.Sequence()[:1], i/10%5) // two sequences a person
	}
	cases := []struct{ groupBy, field string }{{"", "sequence"}, {"sequence", "sequence"}, {"person", "person"}}
	for _, c := range cases {
		for _, validate := range []bool{false, true} {
			p := split(t, s, data.PartitionOptions{Edges: 6, PublicRows: 10, GroupBy: c.groupBy, Validate: validate})
			held := make(map[string]bool)
			for _, row := range p.Test {
				held[row.Domain+row.Field(c.field)] = true
			}
			for _, share := range p.Edges {
				for _, row := range slices.Concat(share.Train, p.Public) {
					if held[row.Domain+row.Field(c.field)] {
						t.Errorf("group by %q, validate %v: rows of %s %s on both sides", c.groupBy, validate, c.field, row.Field(c.field))
					}
				}
			}
		}
	}
}

func TestEdgesOfADomainShareItsTestRows(t *testing.T) {
	s := made([]string{"image"}, cohort{"a", "", "train", 30}, cohort{"a", "", "test", 7}, cohort{"b", "", "train", 10}, cohort{"b", "", "test", 3})
	p := split(t, s, data.PartitionOptions{Edges: 4})
	var sizes [][3]int
	for _, share := range p.Edges {
		domain := 0
		if share.Domain == "b" {
			domain = 1
		}
		sizes = append(sizes, [3]int{domain, len(share.Train), len(share.Test)})
	}
	if want := [][3]int{{0, 10, 7}, {0, 10, 7}, {0, 10, 7}, {1, 10, 3}}; !reflect.DeepEqual(sizes, want) {
		t.Errorf("domain, training and test rows %v, want %v", sizes, want)
	}
	if len(p.Test) != 10 {
		t.Errorf("the super-peers have %d test rows, want each once", len(p.Test))
	}
}

func TestDomainsTooSmallForAnEdgeAreJoined(t *testing.T) {
	s := made([]string{"image"}, cohort{"a", "", "train", 30}, cohort{"a", "", "test", 5},
		cohort{"b", "", "train", 2}, cohort{"b", "", "test", 1}, cohort{"c", "", "train", 3}, cohort{"c", "", "test", 1})
	p := split(t, s, data.PartitionOptions{Edges: 4, RowsPerEdge: 10})
	var domains []string
	for _, share := range p.Edges {
		domains = append(domains, share.Domain)
	}
	if want := []string{"a", "a", "a", "b+c"}; !slices.Equal(domains, want) {
		t.Errorf("domains %v, want %v", domains, want)
	}
}

// Unequal edges differ from equal ones in nothing but their rows: some have more, some fewer.
func TestRowsCanBeSpread(t *testing.T) {
	s := made([]string{"image", "sensor"}, append(sequences(4, 120, "train"), sequences(4, 5, "test")...)...)
	opt := data.PartitionOptions{Edges: 12, PublicRows: 20, RowsPerEdge: 10, ModalityRate: 0.5, Seed: 3}
	equal := split(t, s, opt)
	opt.RowsSpread = 2.5
	unequal := split(t, s, opt)
	fewest, most := 1000, 0
	for i, share := range unequal.Edges {
		n := len(share.Train)
		fewest, most = min(fewest, n), max(most, n)
		if share.Domain != equal.Edges[i].Domain || !slices.Equal(share.Modalities, equal.Edges[i].Modalities) {
			t.Errorf("edge %d has domain %s and modalities %v, %s and %v without a spread", i, share.Domain, share.Modalities, equal.Edges[i].Domain, equal.Edges[i].Modalities)
		}
	}
	if fewest < 4 || fewest > 8 || most < 18 || most > 25 {
		t.Errorf("edges have %d to %d rows, want about 4 to 25", fewest, most)
	}
	if !reflect.DeepEqual(ids(unequal.Public), ids(equal.Public)) {
		t.Error("other public rows")
	}
}

func TestPublicRowsDoNotDependOnTheNumberOfEdges(t *testing.T) {
	s := made([]string{"image", "sensor"}, append(sequences(4, 12, "train"), sequences(4, 2, "test")...)...)
	var first map[string]bool
	for _, edges := range []int{1, 3, 4, 5, 20} {
		p := split(t, s, data.PartitionOptions{Edges: edges, PublicRows: 22, RowsPerEdge: 8, ModalityRate: 0.5, Seed: 3})
		public := ids(p.Public)
		if first == nil {
			first = public
		}
		byDomain := make(map[string]int)
		for _, row := range p.Public {
			byDomain[row.Domain]++
		}
		for domain, n := range byDomain {
			if n < 5 || n > 6 {
				t.Errorf("%d of 22 public rows are of %s, one of four equal domains", n, domain)
			}
		}
		if overlap(public, first) < 22 {
			t.Errorf("%d edges have other public rows", edges)
		}
	}
}

func TestModalityRate(t *testing.T) {
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("m%02d", i))
	}
	s := made(names, cohort{"", "", "", 400})
	for _, rate := range []float64{0.05, 0.5, 1} {
		p := split(t, s, data.PartitionOptions{Edges: 40, ModalityRate: rate, RowsPerEdge: 8})
		have, on := 0, make(map[string]bool)
		for _, share := range p.Edges {
			have += len(share.Modalities)
			for _, name := range share.Modalities {
				on[name] = true
			}
		}
		if len(on) != len(names) {
			t.Errorf("rate %g: only %d of %d modalities are at some edge", rate, len(on), len(names))
		}
		if mean := float64(have) / 40 / 12; rate > 0.1 && (mean < rate-0.1 || mean > rate+0.1) {
			t.Errorf("rate %g: an edge has %g of the modalities", rate, mean)
		}
	}
	few := split(t, s, data.PartitionOptions{Edges: 2, ModalityRate: 0.05})
	if n := len(few.Edges[0].Modalities) + len(few.Edges[1].Modalities); n < 12 {
		t.Errorf("two edges have %d of 12 modalities", n)
	}
}

// TestFewRowsRealData is the setting of the experiments.
func TestFewRowsRealData(t *testing.T) {
	cases := []struct {
		name               string
		validate           bool
		leastTrain, scored int
	}{
		{"av_digits", false, 20, 300}, {"av_digits", true, 20, 540}, {"urfall", false, 16, 144}, {"urfall", true, 12, 90},
	}
	for _, c := range cases {
		s := shared(t, c.name)
		for seed := range uint64(3) {
			p := split(t, s, data.PartitionOptions{Edges: 20, RowsPerEdge: 20, PublicRows: 40, ModalityRate: 0.5, Seed: seed, Validate: c.validate})
			if len(p.Test) < c.scored {
				t.Errorf("%s, validate %v: %d rows are scored, want %d", c.name, c.validate, len(p.Test), c.scored)
			}
			for i, share := range p.Edges {
				if len(share.Train) < c.leastTrain {
					t.Errorf("%s, validate %v: edge %d has %d training rows, want %d", c.name, c.validate, i+1, len(share.Train), c.leastTrain)
				}
			}
		}
	}
}
