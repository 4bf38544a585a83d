package experiment

import (
	"math"
	"math/rand/v2"
	"slices"
)

// resamples of a bootstrap. The seed is fixed: equal results have equal intervals.
const (
	resamples     = 10000
	bootstrapSeed = 0x6d6c656373
)

// Estimate is a mean over seeds.
type Estimate struct {
	Mean float64    `json:"mean"`
	Std  float64    `json:"std"`  // of one seed, n-1 in the denominator; 0 with one seed
	CI95 [2]float64 `json:"ci95"` // of the mean: percentiles of a bootstrap over seeds
}

// Gain is a paired comparison: both methods saw the same nodes, rows and initial weights for every seed.
type Gain struct {
	Over string     `json:"over"` // the other method
	Mean float64    `json:"mean"`
	CI95 [2]float64 `json:"ci95"`
}

// estimate describes x, one value a seed.
func estimate(x []float64) Estimate {
	e := Estimate{Mean: mean(x)}
	if len(x) > 1 {
		for _, v := range x {
			e.Std += (v - e.Mean) * (v - e.Mean)
		}
		e.Std = math.Sqrt(e.Std / float64(len(x)-1))
	}
	e.CI95 = interval(len(x), func(pick []int) float64 { return meanOf(x, pick) })
	return e
}

// gainPercent is by how many percent of the mean of b a is above b; a[i] and b[i] are of one seed. Over a mean of 0 it is 0, since JSON
// has no infinity.
func gainPercent(over string, a, b []float64) Gain {
	of := func(pick []int) float64 {
		m := meanOf(b, pick)
		if m == 0 {
			return 0
		}
		return 100 * (meanOf(a, pick) - m) / m
	}
	return Gain{Over: over, Mean: of(all(len(a))), CI95: interval(len(a), of)}
}

// difference is by how much a is above b, in the unit of both.
func difference(over string, a, b []float64) Gain {
	of := func(pick []int) float64 { return meanOf(a, pick) - meanOf(b, pick) }
	return Gain{Over: over, Mean: of(all(len(a))), CI95: interval(len(a), of)}
}

// interval is the 95 % percentile bootstrap of a statistic of n seeds. pick holds indices, drawn with replacement.
func interval(n int, of func(pick []int) float64) [2]float64 {
	if n == 0 {
		return [2]float64{}
	}
	rng := rand.New(rand.NewPCG(bootstrapSeed, uint64(n)))
	pick, values := make([]int, n), make([]float64, resamples)
	for i := range values {
		for j := range pick {
			pick[j] = rng.IntN(n)
		}
		values[i] = of(pick)
	}
	slices.Sort(values)
	return [2]float64{values[resamples*25/1000], values[resamples*975/1000-1]}
}

func mean(x []float64) float64 { return meanOf(x, all(len(x))) }

func meanOf(x []float64, pick []int) float64 {
	if len(pick) == 0 {
		return 0
	}
	sum := 0.0
	for _, i := range pick {
		sum += x[i]
	}
	return sum / float64(len(pick))
}

// all are the indices of n values.
func all(n int) []int {
	pick := make([]int, n)
	for i := range pick {
		pick[i] = i
	}
	return pick
}
