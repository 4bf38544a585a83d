package privacy_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/learn/privacy"
)

func TestEpsilonOfOneMechanism(t *testing.T) {
	for _, c := range []struct {
		mu, delta, want, within float64
	}{
		// The definition with mu = 1: Phi(1/2 - e) - exp(e) Phi(-1/2 - e) is 0.12693673750664394 at e = 1 and 0.3829249225480262 at e = 0.
		{1, 0.12693673750664394, 1, 1e-9},
		{1, 0.3829249225480262, 0, 1e-9},
		// Of a noise multiplier of 1 (Balle and Wang, figure 1; Opacus' analytic accountant).
		{1, 1e-5, 4.377, 1e-3},
	} {
		if got := privacy.Epsilon(2/c.mu, 1, c.delta); math.Abs(got-c.want) > c.within {
			t.Errorf("mu %v, delta %v: epsilon %v, want %v", c.mu, c.delta, got, c.want)
		}
	}
}

// renyi is the epsilon that follows from the Renyi divergence of the Gaussian mechanism, alpha mu^2 / 2 (Mironov, CSF 2017, proposition 7),
// at the best of many orders (conversion: Canonne, Kamath and Steinke, NeurIPS 2020, proposition 12).
func renyi(mu, delta float64) float64 {
	best := math.Inf(1)
	for alpha := 1.01; alpha < 2000; alpha *= 1.01 {
		e := alpha*mu*mu/2 + math.Log1p(-1/alpha) - (math.Log(delta)+math.Log(alpha))/(alpha-1)
		best = min(best, e)
	}
	return best
}

// TestEpsilonIsJustBelowRenyi: the exact epsilon is below the bound by Renyi divergences, and not by far.
func TestEpsilonIsJustBelowRenyi(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		noise := math.Exp(rapid.Float64Range(math.Log(0.5), math.Log(200)).Draw(t, "noise"))
		releases := rapid.Uint64Range(1, 1000).Draw(t, "releases")
		delta := math.Exp(rapid.Float64Range(math.Log(1e-9), math.Log(1e-3)).Draw(t, "delta"))
		got, bound := privacy.Epsilon(noise, releases, delta), renyi(2*math.Sqrt(float64(releases))/noise, delta)
		if !(got <= bound*(1+1e-9)) || got < 0.6*bound-0.1 {
			t.Fatalf("noise %v, %d releases, delta %v: epsilon %v, by Renyi %v", noise, releases, delta, got, bound)
		}
	})
}

// TestReleasesCompose: n releases tell as much as one with the noise divided by the root of n.
func TestReleasesCompose(t *testing.T) {
	one, many := privacy.Epsilon(3, 1, 1e-5), privacy.Epsilon(30, 100, 1e-5)
	if math.Abs(one-many) > 1e-9 {
		t.Errorf("%v and %v", one, many)
	}
}

func TestEpsilonAtTheEnds(t *testing.T) {
	if e := privacy.Epsilon(5, 0, 1e-5); e != 0 {
		t.Errorf("nothing was released, and epsilon is %v", e)
	}
	if e := privacy.Epsilon(0, 3, 1e-5); !math.IsInf(e, 1) {
		t.Errorf("no noise, and epsilon is %v", e)
	}
	for _, noise := range []float64{1e-3, 1e-2, 0.1, 1e4} { // the formula's terms overflow or cancel
		if e := privacy.Epsilon(noise, 10000, 1e-9); math.IsNaN(e) || math.IsInf(e, 0) || e < 0 {
			t.Errorf("noise %v: epsilon %v", noise, e)
		}
	}
}

func TestClip(t *testing.T) {
	parts := [][]float32{{3, 0}, {0, 4}}
	if norm := privacy.Clip(parts, 10); norm != 5 || parts[1][1] != 4 {
		t.Errorf("norm %v, %v", norm, parts)
	}
	if norm := privacy.Clip(parts, 2.5); norm != 5 || parts[0][0] != 1.5 || parts[1][1] != 2 {
		t.Errorf("norm %v, %v", norm, parts)
	}
}

func TestNoiseHasItsDeviation(t *testing.T) {
	const n = 100_000
	parts := [][]float32{make([]float32, n/2), make([]float32, n/2)}
	privacy.AddNoise(parts, 0.3, rand.New(rand.NewPCG(1, 2)))
	var sum, squares float64
	for _, p := range parts {
		for _, x := range p {
			sum += float64(x)
			squares += float64(x) * float64(x)
		}
	}
	if mean, deviation := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.005 || math.Abs(deviation-0.3) > 0.003 {
		t.Errorf("mean %v, deviation %v", mean, deviation)
	}
	if parts[0][0] == parts[1][0] {
		t.Error("the same noise twice")
	}
}
