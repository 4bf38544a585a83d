package experiment

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const rounding = 1e-9

func near(a, b float64) bool { return math.Abs(a-b) <= rounding*max(1, math.Abs(a), math.Abs(b)) }

// scores draws n scores, as Rouge-LSum has them.
func scores(t *rapid.T, n int, label string) []float64 {
	return rapid.SliceOfN(rapid.Float64Range(0.05, 1), n, n).Draw(t, label)
}

func TestEstimate(t *testing.T) {
	for name, c := range map[string]struct {
		x         []float64
		mean, std float64
		ci        [2]float64
	}{
		"no seed":                    {nil, 0, 0, [2]float64{}},
		"one seed says no spread":    {[]float64{0.4}, 0.4, 0, [2]float64{0.4, 0.4}},
		"a constant":                 {[]float64{0.5, 0.5, 0.5}, 0.5, 0, [2]float64{0.5, 0.5}},
		"two seeds: the outer means": {[]float64{0, 1}, 0.5, math.Sqrt(0.5), [2]float64{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			e := estimate(c.x)
			if !near(e.Mean, c.mean) || !near(e.Std, c.std) || !near(e.CI95[0], c.ci[0]) || !near(e.CI95[1], c.ci[1]) {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestIntervalIsAsWideAsTheNormalApproximation: with many values both say the same about a mean.
func TestIntervalIsAsWideAsTheNormalApproximation(t *testing.T) {
	var x []float64
	for i := range 100 {
		x = append(x, float64(i))
	}
	e := estimate(x)
	half := 1.96 * e.Std / math.Sqrt(100)
	for i, want := range []float64{49.5 - half, 49.5 + half} {
		if math.Abs(e.CI95[i]-want) > 0.05*half {
			t.Errorf("end %d is %v, about %v is right", i, e.CI95[i], want)
		}
	}
}

func TestIntervalHoldsTheMeanWithinTheValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := scores(t, rapid.IntRange(2, 12).Draw(t, "seeds"), "x")
		e := estimate(x)
		low, high := e.CI95[0], e.CI95[1]
		if low > e.Mean+rounding || high < e.Mean-rounding || low < slices.Min(x)-rounding || high > slices.Max(x)+rounding {
			t.Fatalf("%v: mean %v, interval %v", x, e.Mean, e.CI95)
		}
		if again := estimate(x); again != e {
			t.Fatalf("%+v, then %+v", e, again)
		}
	})
}

// TestDifferenceIsPaired: what a seed adds to both methods, however much, changes nothing.
func TestDifferenceIsPaired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "seeds")
		a, b, seed := scores(t, n, "a"), scores(t, n, "b"), scores(t, n, "effect of the seed")
		want := difference("b", a, b)
		for i := range seed {
			a[i] += 100 * seed[i]
			b[i] += 100 * seed[i]
		}
		got := difference("b", a, b)
		if got.Over != "b" || !near(got.Mean, want.Mean) || !near(got.CI95[0], want.CI95[0]) || !near(got.CI95[1], want.CI95[1]) {
			t.Fatalf("%+v with the seeds' effect, %+v without", got, want)
		}
	})
}

// TestGainIsPaired: a method that is above another by the same factor with every seed is so for certain, however much seeds differ.
func TestGainIsPaired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := scores(t, rapid.IntRange(1, 12).Draw(t, "seeds"), "b")
		percent := rapid.Float64Range(-90, 200).Draw(t, "percent")
		a := slices.Clone(b)
		for i := range a {
			a[i] *= 1 + percent/100
		}
		g := gainPercent("b", a, b)
		for _, got := range []float64{g.Mean, g.CI95[0], g.CI95[1]} {
			if math.Abs(got-percent) > 1e-6 {
				t.Fatalf("%+v, want %v", g, percent)
			}
		}
	})
}

func TestGain(t *testing.T) {
	for name, c := range map[string]struct {
		a, b []float64
		want Gain
	}{
		"no seed":              {nil, nil, Gain{}},
		"one seed":             {[]float64{0.6}, []float64{0.5}, Gain{Mean: 20, CI95: [2]float64{20, 20}}},
		"of the means":         {[]float64{1, 0.5}, []float64{0.5, 0.5}, Gain{Mean: 50, CI95: [2]float64{0, 100}}},
		"over nothing is none": {[]float64{0.6}, []float64{0}, Gain{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := gainPercent("", c.a, c.b)
			if !near(g.Mean, c.want.Mean) || !near(g.CI95[0], c.want.CI95[0]) || !near(g.CI95[1], c.want.CI95[1]) {
				t.Errorf("%+v, want %+v", g, c.want)
			}
		})
	}
}
