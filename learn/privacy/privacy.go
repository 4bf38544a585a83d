package privacy

import (
	"math"
	"math/rand/v2"
)

// Clip scales the vector that parts are the pieces of so that its Euclidean norm is at most most, and gives the norm that it had.
func Clip(parts [][]float32, most float64) (norm float64) {
	for _, p := range parts {
		for _, x := range p {
			norm += float64(float64(x) * float64(x)) // the conversion keeps compilers from fusing
		}
	}
	norm = math.Sqrt(norm)
	if norm <= most {
		return norm
	}
	scale := most / norm
	for _, p := range parts {
		for i, x := range p {
			p[i] = float32(float64(x) * scale)
		}
	}
	return norm
}

// AddNoise adds to every value a normal one of the given standard deviation.
func AddNoise(parts [][]float32, deviation float64, random *rand.Rand) {
	for _, p := range parts {
		for i, x := range p {
			p[i] = float32(float64(x) + float64(deviation*random.NormFloat64()))
		}
	}
}

// Epsilon is the least epsilon for which releases of vectors, each clipped to a norm C and with noise of the standard deviation noise * C,
// are (epsilon, delta)-differentially private together, where neighbours are any two data sets that the vectors were made from: two
// vectors within the norm are up to 2 C apart. Each release may depend on those before it.
//
// Releases compose to one Gaussian mechanism of mu = 2 sqrt(releases) / noise (Dong, Roth and Su, Gaussian Differential Privacy, JRSS B
// 2022, corollary 2), whose delta for an epsilon is known exactly (Balle and Wang, ICML 2018, theorem 8), so that this is no
// more than what Renyi accountants give. Without noise it is infinite, without a release 0.
func Epsilon(noise float64, releases uint64, delta float64) float64 {
	switch {
	case releases == 0:
		return 0
	case !(noise > 0) || !(delta > 0):
		return math.Inf(1)
	}
	mu := 2 * math.Sqrt(float64(releases)) / noise
	low, high := 0.0, 1.0
	for logDelta(mu, high) > math.Log(delta) {
		low, high = high, 2*high
	}
	for range 100 {
		middle := (low + high) / 2
		if logDelta(mu, middle) > math.Log(delta) {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// logDelta is the logarithm of the least delta of a Gaussian mechanism: Phi(mu/2 - e/mu) - exp(e) Phi(-mu/2 - e/mu). In logarithms, since
// exp(e) is soon too large.
func logDelta(mu, epsilon float64) float64 {
	a := logPhi(mu/2 - epsilon/mu)
	b := epsilon + logPhi(-mu/2-epsilon/mu)
	if b >= a {
		return math.Inf(-1) // they differ by less than can be told
	}
	return a + math.Log1p(-math.Exp(b-a))
}

// logPhi is the logarithm of the normal distribution function.
func logPhi(x float64) float64 {
	if x > -30 {
		return math.Log(math.Erfc(-x/math.Sqrt2) / 2)
	}
	// Mills' ratio, of which three terms are exact to 1e-7 there.
	square := x * x
	return -square/2 - math.Log(-x*math.Sqrt(2*math.Pi)) + math.Log1p(-1/square+3/(square*square))
}
