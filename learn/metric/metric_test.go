package metric_test

import (
	"math"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/metric"
	"pgregory.net/rapid"
)

func score(precision, recall float64) metric.Score {
	s := metric.Score{Precision: precision, Recall: recall}
	if precision+recall > 0 {
		s.F = 2 * precision * recall / (precision + recall)
	}
	return s
}

func TestCompute(t *testing.T) {
	one := score(1, 1)
	cases := []struct {
		name                 string
		candidate, reference string
		stem                 bool
		want                 metric.Rouge
	}{
		{name: "identical", candidate: "walking upright quiet", reference: "walking upright quiet",
			want: metric.Rouge{R1: one, R2: one, L: one, Lsum: one}},
		{name: "case and punctuation do not count", candidate: "Walking, UPRIGHT; quiet!", reference: "walking upright quiet",
			want: metric.Rouge{R1: one, R2: one, L: one, Lsum: one}},
		{name: "nothing in common", candidate: "a b", reference: "c d"},
		{name: "empty candidate", candidate: "", reference: "a b"},
		{name: "empty reference", candidate: "a b", reference: "..."},
		{name: "one token has no bigram", candidate: "a", reference: "a", want: metric.Rouge{R1: one, L: one, Lsum: one}},
		{name: "order counts for bigrams and LCS only", candidate: "c b a", reference: "a b c",
			want: metric.Rouge{R1: one, L: score(1.0/3, 1.0/3), Lsum: score(1.0/3, 1.0/3)}},
		{name: "repeated tokens are clipped", candidate: "the the the the", reference: "the cat the",
			want: metric.Rouge{R1: score(2.0/4, 2.0/3), L: score(2.0/4, 2.0/3), Lsum: score(2.0/4, 2.0/3)}},
		{name: "union LCS over lines (Lin 2004, 3.2)", candidate: "w1 w3 w8 w9 w5\nw1 w2 w6 w7 w8", reference: "w1 w2 w3 w4 w5",
			want: metric.Rouge{R1: score(4.0/10, 4.0/5), R2: score(1.0/9, 1.0/4), L: score(3.0/10, 3.0/5), Lsum: score(4.0/10, 4.0/5)}},
		{name: "stemming only on request", candidate: "walks", reference: "walking"},
		{name: "stemming", candidate: "walks", reference: "walking", stem: true, want: metric.Rouge{R1: one, L: one, Lsum: one}},
		{name: "three letters are not stemmed", candidate: "gas", reference: "ga", stem: true},
		{name: "dotted capital I separates", candidate: "İstanbul", reference: "i stanbul",
			want: metric.Rouge{R1: one, R2: one, L: one, Lsum: one}},
		{name: "kelvin sign is k", candidate: "\u212aelvin", reference: "kelvin", want: metric.Rouge{R1: one, L: one, Lsum: one}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := metric.Compute(c.candidate, c.reference, c.stem)
			if d := distance(got, c.want); d > 1e-12 {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// distance is the largest difference between any two numbers of a and b.
func distance(a, b metric.Rouge) float64 {
	d := 0.0
	for _, pair := range [][2]metric.Score{{a.R1, b.R1}, {a.R2, b.R2}, {a.L, b.L}, {a.Lsum, b.Lsum}} {
		d = max(d, math.Abs(pair[0].Precision-pair[1].Precision), math.Abs(pair[0].Recall-pair[1].Recall), math.Abs(pair[0].F-pair[1].F))
	}
	return d
}

func TestBestTakesEachTypesHighestF(t *testing.T) {
	references := []string{"b a", "a b c d", "a x"}
	got := metric.Best("a b", references, false)
	if want := metric.Compute("a b", references[0], false).R1; got.R1 != want {
		t.Errorf("R1 %+v, want that of the first reference %+v", got.R1, want)
	}
	if want := metric.Compute("a b", references[1], false).R2; got.R2 != want {
		t.Errorf("R2 %+v, want that of the second reference %+v", got.R2, want)
	}
	if got := metric.Best("a", nil, false); got != (metric.Rouge{}) {
		t.Errorf("without references: %+v", got)
	}
}

func TestBestKeepsTheFirstOfEquals(t *testing.T) {
	// Against either reference F is 2/3, once with precision 1/2 and once with recall 1/2.
	got := metric.Best("a b", []string{"a", "a b c d"}, false)
	if got.R1.Precision != 0.5 || got.R1.Recall != 1 {
		t.Errorf("R1 %+v, want the first reference's precision 0.5 and recall 1", got.R1)
	}
}

func TestExactMatch(t *testing.T) {
	cases := []struct {
		name, candidate, reference string
		want                       bool
	}{
		{"same", "falling lying thud", "falling lying thud", true},
		{"case and spaces", "  Falling\tlying \n thud ", "falling lying thud", true},
		{"punctuation counts", "falling, lying thud", "falling lying thud", false},
		{"another word", "falling lying", "falling lying thud", false},
		{"both empty", "", " ", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := metric.ExactMatch(c.candidate, c.reference); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestBestConstant(t *testing.T) {
	cases := []struct {
		name  string
		train []string
		want  string
	}{
		{"no targets", nil, ""},
		{"the majority of single words", []string{"two", "one", "two", "three"}, "two"},
		{"ties go to the alphabet", []string{"b", "a"}, "a"},
		{"a common middle beats the majority", []string{"p q", "p q", "a b c d", "a b c e", "a b c f"}, "a b c d"},
		{"word by word, though it never occurs", []string{"a b z", "a y c", "x b c"}, "a b c"},
		{"different word counts give no combination", []string{"a b", "a c d", "a b"}, "a b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := metric.BestConstant(c.train); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestBestConstantIgnoresOrder(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(word, 1, 3), 1, 12).Draw(t, "targets")
		train := make([]string, len(rows))
		for i, row := range rows {
			train[i] = strings.Join(row, " ")
		}
		shuffled := rapid.Permutation(train).Draw(t, "shuffled")
		if a, b := metric.BestConstant(train), metric.BestConstant(shuffled); a != b {
			t.Fatalf("%q, and in another order %q", a, b)
		}
	})
}

// Swapping candidate and reference swaps precision and recall of every type but Lsum, whose lines play different parts.
func TestComputeIsSymmetric(t *testing.T) {
	text := rapid.StringMatching(`([a-d]{1,2} ){0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		there, back := metric.Compute(a, b, true), metric.Compute(b, a, true)
		back.R1.Precision, back.R1.Recall = back.R1.Recall, back.R1.Precision
		back.R2.Precision, back.R2.Recall = back.R2.Recall, back.R2.Precision
		back.L.Precision, back.L.Recall = back.L.Recall, back.L.Precision
		back.Lsum = there.Lsum
		if d := distance(there, back); d > 1e-12 {
			t.Fatalf("%+v against %+v", there, back)
		}
	})
}

func FuzzCompute(f *testing.F) {
	f.Add("falling lying thud", "walking\nupright", true)
	f.Add("yyyyies ied eed ing", "\xff\u0130\u212a", true)
	f.Fuzz(func(t *testing.T, candidate, reference string, stem bool) {
		if len(candidate)+len(reference) > 2000 {
			t.Skip("quadratic in the text's length; callers bound it")
		}
		r := metric.Compute(candidate, reference, stem)
		for _, s := range []metric.Score{r.R1, r.R2, r.L, r.Lsum} {
			for _, v := range []float64{s.Precision, s.Recall, s.F} {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("%+v is not within [0, 1]", s)
				}
			}
		}
		if r.L.F > r.R1.F || r.Lsum.F > r.R1.F+1e-12 {
			t.Fatalf("a subsequence longer than the shared tokens: %+v", r)
		}
	})
}
