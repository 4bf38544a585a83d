package data_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/metric"
	"gonum.org/v1/gonum/mat"
)

// classifier is kernel ridge regression on one-hot words: about the simplest thing that sees non-linear structure.
type classifier struct {
	kernel func(i, j int) float64
	train  []int
	alpha  []*mat.Dense // per word position
	words  [][]string
}

// learn fits one regression per word of the target.
func learn(kernel func(i, j int) float64, train []int, targets [][]string) *classifier {
	c := &classifier{kernel: kernel, train: train}
	n := len(train)
	gram := mat.NewSymDense(n, nil)
	for a, i := range train {
		for b := a; b < n; b++ {
			gram.SetSym(a, b, kernel(i, train[b]))
		}
		gram.SetSym(a, a, gram.At(a, a)+0.05)
	}
	var chol mat.Cholesky
	if !chol.Factorize(gram) {
		panic("the kernel is not positive definite")
	}
	for p := range targets[0] {
		var words []string
		index := make(map[string]int)
		for _, i := range train {
			if _, ok := index[targets[i][p]]; !ok {
				index[targets[i][p]] = len(words)
				words = append(words, targets[i][p])
			}
		}
		y := mat.NewDense(n, len(words), nil)
		for a, i := range train {
			for w := range words {
				y.Set(a, w, -0.25)
			}
			y.Set(a, index[targets[i][p]], 0.75)
		}
		var alpha mat.Dense
		if err := chol.SolveTo(&alpha, y); err != nil {
			panic(err)
		}
		c.alpha = append(c.alpha, &alpha)
		c.words = append(c.words, words)
	}
	return c
}

func (c *classifier) answer(row int) []string {
	k := make([]float64, len(c.train))
	for a, i := range c.train {
		k[a] = c.kernel(row, i)
	}
	var out []string
	for p, words := range c.words {
		best, most := "", math.Inf(-1)
		for w, word := range words {
			v := 0.0
			for a := range k {
				v += k[a] * c.alpha[p].At(a, w)
			}
			if v > most {
				best, most = word, v
			}
		}
		out = append(out, best)
	}
	return out
}

// pooled summarises a tensor so that where something happened matters less than that it did.
func pooled(m data.Modality, x []float32) []float64 {
	rows, width := m.Shape[len(m.Shape)-2], m.Shape[len(m.Shape)-1]
	if m.Kind == data.Image {
		return blocks(x, rows, width, 2)
	}
	var out []float64
	for r := range rows {
		line := x[r*width : (r+1)*width]
		low, high, mean, square, rough := math.Inf(1), math.Inf(-1), 0.0, 0.0, 0.0
		for i, v := range line {
			f := float64(v)
			low, high = min(low, f), max(high, f)
			mean += f / float64(width)
			square += f * f / float64(width)
			if i > 0 {
				rough += math.Abs(f-float64(line[i-1])) / float64(width)
			}
		}
		out = append(out, low, high, mean, math.Sqrt(max(square-mean*mean, 0)), 2*rough)
		for b := range 4 {
			part := 0.0
			for _, v := range line[b*width/4 : (b+1)*width/4] {
				part += float64(v) * 4 / float64(width)
			}
			out = append(out, part)
		}
	}
	return out
}

func blocks(x []float32, rows, width, size int) []float64 {
	out := make([]float64, 0, rows*width/size/size)
	for r := 0; r < rows; r += size {
		for c := 0; c < width; c += size {
			sum := 0.0
			for i := range size {
				for j := range size {
					sum += float64(x[(r+i)*width+c+j])
				}
			}
			out = append(out, sum/float64(size*size))
		}
	}
	return out
}

// gaussian is a kernel whose width is the mean distance of the rows.
func gaussian(features [][]float64) func(i, j int) float64 {
	distance := func(i, j int) float64 {
		d := 0.0
		for k, v := range features[i] {
			e := v - features[j][k]
			d += e * e
		}
		return d
	}
	mean := 0.0
	for i := range 200 {
		mean += distance(i%len(features), (i*7+3)%len(features)) / 200
	}
	return func(i, j int) float64 { return math.Exp(-2 * distance(i, j) / mean) }
}

// answers is how well a choice of modalities tells the test rows' targets.
type answers struct {
	exact float64
	words []float64 // share of right words by position
}

// TestGeneratedNeedsEveryModality is the point of the generated set: each modality tells its own word well and the others
// badly, so that only together they tell the whole target.
func TestGeneratedNeedsEveryModality(t *testing.T) {
	s := generated(t, data.GenerateOptions{Homes: 3, RowsPerHome: 150, Seed: 11})
	fitted, err := s.Fit(s.Training())
	if err != nil {
		t.Fatal(err)
	}
	grams := make(map[string]func(i, j int) float64)
	for _, m := range fitted {
		features := make([][]float64, len(s.Rows))
		for i, row := range s.Rows {
			features[i] = pooled(m, tensor(t, s, row, m))
		}
		grams[m.Name] = remembered(gaussian(features), len(s.Rows))
	}
	targets := make([][]string, len(s.Rows))
	var train, test []int
	var trainTargets []string
	for i, row := range s.Rows {
		targets[i] = strings.Fields(row.Target)
		if row.Split == "test" {
			test = append(test, i)
		} else {
			train = append(train, i)
			trainTargets = append(trainTargets, row.Target)
		}
	}
	ask := func(names ...string) answers {
		c := learn(func(i, j int) float64 {
			sum := 0.0
			for _, name := range names {
				sum += grams[name](i, j)
			}
			return sum / float64(len(names))
		}, train, targets)
		a := answers{words: make([]float64, len(targets[0]))}
		for _, i := range test {
			given := c.answer(i)
			for p, word := range given {
				if word == targets[i][p] {
					a.words[p] += 1 / float64(len(test))
				}
			}
			if slices.Equal(given, targets[i]) {
				a.exact += 1 / float64(len(test))
			}
		}
		t.Logf("%-22v exact %.2f, motion %.2f, posture %.2f, sound %.2f", names, a.exact, a.words[0], a.words[1], a.words[2])
		return a
	}

	for own, name := range []string{"sensor", "image", "audio"} { // in the order of the words they tell
		a := ask(name)
		if a.exact > 0.45 {
			t.Errorf("%s alone tells %.2f of the targets", name, a.exact)
		}
		for p, right := range a.words {
			switch {
			case p == own && right < 0.75:
				t.Errorf("%s tells only %.2f of its own words", name, right)
			case p != own && right > 0.8:
				t.Errorf("%s tells %.2f of the words at place %d, which are another modality's", name, right, p+1)
			}
		}
	}
	if a := ask("sensor", "image", "audio"); a.exact < 0.65 {
		t.Errorf("all modalities together tell only %.2f of the targets", a.exact)
	}

	constant := metric.BestConstant(trainTargets)
	sum := 0.0
	for _, i := range test {
		sum += metric.Compute(constant, s.Rows[i].Target, false).Lsum.F / float64(len(test))
	}
	t.Logf("the best constant answer %q has Rouge-LSum %.2f", constant, sum)
	if sum > 0.45 {
		t.Errorf("the constant answer %q has Rouge-LSum %.2f", constant, sum)
	}
}

// remembered computes a kernel once for every pair of n rows.
func remembered(kernel func(i, j int) float64, n int) func(i, j int) float64 {
	gram := make([]float64, n*n)
	for i := range n {
		for j := range i + 1 {
			gram[i*n+j] = kernel(i, j)
			gram[j*n+i] = gram[i*n+j]
		}
	}
	return func(i, j int) float64 { return gram[i*n+j] }
}
