package op_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/op"
)

// run gives the output of f.
func run(t *testing.T, f op.Func, leaves ...leaf) []float32 {
	t.Helper()
	var shapes []tensor.Shape
	var in [][]float32
	for _, l := range leaves {
		shapes, in = append(shapes, l.shape), append(in, l.data)
	}
	shape, err := f.Shape(shapes)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, max(1, shape.TotalSize()))
	f.Forward(out, in)
	return out
}

// softmaxOf is the student's distribution at one position, in float64.
func softmaxOf(hidden, wte leaf, at int) []float64 {
	d := hidden.shape[1]
	p := make([]float64, wte.shape[0])
	var sum float64
	for id := range p {
		var z float64
		for j := range d {
			z += float64(hidden.data[at*d+j]) * float64(wte.data[id*d+j])
		}
		p[id] = math.Exp(z)
		sum += p[id]
	}
	for id := range p {
		p[id] /= sum
	}
	return p
}

func near(t *testing.T, what string, got float32, want float64) {
	t.Helper()
	if !(math.Abs(float64(got)-want) < 1e-5*(1+math.Abs(want))) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestCrossEntropyIsTheMeanOverTargets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	hidden, wte := random(r, 1, 6, 4), random(r, 1, 7, 4)
	at, target := []int32{5, 0, 3}, []int32{6, 6, 1}
	var want float64
	for i, a := range at {
		want -= math.Log(softmaxOf(hidden, wte, int(a))[target[i]]) / 3
	}
	near(t, "cross-entropy", run(t, &op.CrossEntropy{At: at, Target: target}, hidden, wte)[0], want)
	near(t, "cross-entropy without targets", run(t, &op.CrossEntropy{}, hidden, wte)[0], 0)
}

func TestSoftTargetsLumpTheRest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	hidden, wte := random(r, 1, 3, 4), random(r, 1, 5, 4)
	q := softmaxOf(hidden, wte, 2)
	term := func(p, q float64) float64 { return p * (math.Log(p) - math.Log(q)) }
	soft := func(ids []int, probs ...float64) float32 {
		f := &op.SoftTarget{At: []int32{2}, TopIDs: [][]int{ids}, TopLog: [][]float32{nil}}
		for _, p := range probs {
			f.TopLog[0] = append(f.TopLog[0], float32(math.Log(p)))
		}
		return run(t, f, hidden, wte)[0]
	}
	near(t, "two of five", soft([]int{4, 1}, 0.5, 0.3), term(0.5, q[4])+term(0.3, q[1])+term(0.2, 1-q[4]-q[1]))
	near(t, "all of five", soft([]int{4, 1, 0, 2, 3}, 0.5, 0.2, 0.1, 0.1, 0.1),
		term(0.5, q[4])+term(0.2, q[1])+term(0.1, q[0])+term(0.1, q[2])+term(0.1, q[3]))
	near(t, "more than 1", soft([]int{4, 1}, 0.8, 0.3), term(0.8/1.1, q[4])+term(0.3/1.1, q[1]))
	near(t, "the student's own", soft([]int{4, 1}, q[4], q[1]), 0)
	near(t, "an impossible token", soft([]int{4, 1}, 1, 0), term(1, q[4]))
}

func TestSimilarityComparesSimilarities(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	anchor := random(r, 1, 4, 3)
	all := [][]int32{{0, 1, 2, 3}}
	// Moved, turned, scaled and mirrored: every similarity stays.
	moved := leaf{shape: tensor.Shape{4, 3}}
	for i := range 4 {
		x := anchor.data[i*3:][:3]
		moved.data = append(moved.data, 5-2*x[2], 1+2*x[0], 2*x[1])
	}
	near(t, "loss of a congruent set", run(t, &op.Similarity{Rows: all}, anchor, moved)[0], 0)
	// Two rows are opposite after centring, whatever they are.
	near(t, "loss of two rows", run(t, &op.Similarity{Rows: [][]int32{{0, 2}}}, anchor, random(r, 1, 4, 6))[0], 0)
	// Three anchors at the corners of a triangle (cosines -1/2), three vectors on a line: -1, 0 at the middle one.
	triangle := leaf{shape: tensor.Shape{3, 2}, data: []float32{0, 1, float32(math.Sqrt(3)) / 2, -0.5, -float32(math.Sqrt(3)) / 2, -0.5}}
	line := leaf{shape: tensor.Shape{3, 1}, data: []float32{-1, 0, 1}}
	want := 4 * (2*0.25 + 4*0.25) / 6 // (-1+1/2)^2 for the ends, (0+1/2)^2 for the others
	near(t, "loss of a line", run(t, &op.Similarity{Rows: [][]int32{{0, 1, 2}}}, triangle, line)[0], want)
}

func TestFlattenPutsChannelsFirst(t *testing.T) {
	x := leaf{shape: tensor.Shape{2, 1, 3, 2}, data: []float32{1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60}}
	if got := run(t, &op.Flatten{}, x); !slices.Equal(got, []float32{1, 2, 3, 10, 20, 30, 4, 5, 6, 40, 50, 60}) {
		t.Errorf("got %v", got)
	}
}

// TestSimilarityOfEqualVectors: a modality that is the same in every row says nothing, and must not pull.
func TestSimilarityOfEqualVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	anchor := random(r, 1, 4, 3)
	equal := leaf{shape: tensor.Shape{4, 2}, data: slices.Repeat([]float32{0.1, -0.7}, 4)}
	f := &op.Similarity{Rows: [][]int32{{0, 1, 2, 3}}}
	out := run(t, f, anchor, equal)
	grads := [][]float32{nil, make([]float32, 8)}
	f.Backward(grads, []float32{1}, [][]float32{anchor.data, equal.data}, out)
	if !slices.Equal(grads[1], make([]float32, 8)) {
		t.Errorf("gradient %v", grads[1])
	}
}

// Of one vector a volume cannot tell it from its opposite; a cosine can.
func TestGramOfCosinesSeesSigns(t *testing.T) {
	anchor := []float32{1, 0, 0, 1}
	loss := func(cosine bool, sign float32) float32 {
		f := &op.Gram{Tau: 1, Cosine: cosine, Rows: 2}
		return run(t, f, leaf{shape: tensor.Shape{2, 2}, data: anchor}, leaf{shape: tensor.Shape{2, 2}, data: []float32{sign, 0, 0, sign}})[0]
	}
	// Both rows, both ways: -log(e^s / (e^s + e^0)).
	near(t, "alike", loss(true, 1), math.Log(1+math.Exp(-1)))
	near(t, "opposite", loss(true, -1), math.Log(1+math.Exp(1)))
	near(t, "a volume's", loss(false, 1), float64(loss(false, -1)))
}

func TestGramLabelsLeaveOutEqualRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	anchor, v := random(r, 1, 3, 4), random(r, 1, 3, 4)
	alone := run(t, &op.Gram{Tau: 0.1, Rows: 3, Labels: []int{2, 2, 2}}, anchor, v)[0]
	near(t, "loss without negatives", alone, 0)
	unlike := run(t, &op.Gram{Tau: 0.1, Rows: 3, Labels: []int{-1, -1, -1}}, anchor, v)[0]
	near(t, "loss with labels unknown", unlike, float64(run(t, &op.Gram{Tau: 0.1, Rows: 3}, anchor, v)[0]))
	if !(unlike > 1e-3) {
		t.Errorf("loss %v of random vectors", unlike)
	}
}

func TestRMSNormDividesByTheRootOfTheMeanSquare(t *testing.T) {
	x := leaf{shape: tensor.Shape{1, 2}, data: []float32{3, 4}}
	gain := leaf{shape: tensor.Shape{2}, data: []float32{1, -2}}
	out := run(t, &op.RMSNorm{Eps: 0.5}, x, gain)
	near(t, "first", out[0], 3/math.Sqrt(13))
	near(t, "second", out[1], -2*4/math.Sqrt(13))
}

// TestRopeTurnsHalves: element j and j+w/2 are one point, and the angle of position p is p theta^(-2j/w).
func TestRopeTurnsHalves(t *testing.T) {
	x := leaf{shape: tensor.Shape{4, 4}, data: slices.Repeat([]float32{1, 2, 0, 0}, 4)} // two rows of two positions
	out := run(t, op.NewRope(2, 4, 100), x)
	for i, want := range []float64{1, 2, 0, 0, math.Cos(1), 2 * math.Cos(0.1), math.Sin(1), 2 * math.Sin(0.1)} {
		near(t, "first row", out[i], want)
		near(t, "second row", out[8+i], want)
	}
}

func TestSwiGLUGatesUp(t *testing.T) {
	gate := leaf{shape: tensor.Shape{3}, data: []float32{0, 2, -200}}
	out := run(t, &op.SwiGLU{}, gate, leaf{shape: tensor.Shape{3}, data: []float32{5, 3, 1}})
	for i, want := range []float64{0, 2 * 3 / (1 + math.Exp(-2)), 0} {
		near(t, "element", out[i], want)
	}
}

// TestGroupedQueriesShareKeys: with repeated keys and values, ordinary attention gives the same.
func TestGroupedQueriesShareKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	shared := random(r, 1, 6, 16) // 4 heads of q, 2 of k, 2 of v, of width 2
	repeated := leaf{shape: tensor.Shape{6, 24}}
	for i := range 6 {
		row := shared.data[i*16:][:16]
		repeated.data = append(repeated.data, row[:8]...)
		for h := 8; h < 16; h += 2 {
			repeated.data = append(append(repeated.data, row[h:h+2]...), row[h:h+2]...)
		}
	}
	got := run(t, &op.Attention{Steps: 3, Heads: 4, KVHeads: 2, Width: 2}, shared)
	want := run(t, &op.Attention{Steps: 3, Heads: 4, KVHeads: 4, Width: 2}, repeated)
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestNoise(t *testing.T) {
	seed := uint64(3)
	ones := leaf{shape: tensor.Shape{10000}, data: slices.Repeat([]float32{1}, 10000)}
	drop := func(index uint64) []float32 {
		return slices.Clone(run(t, &op.Dropout{Noise: op.Noise{Rate: 0.25, Seed: &seed, Index: index}}, ones))
	}
	first := drop(1)
	var zeros int
	for _, v := range first {
		if v == 0 {
			zeros++
		} else if math.Abs(float64(v)-1/0.75) > 1e-4 {
			t.Fatalf("a kept element is %v", v)
		}
	}
	if zeros < 2300 || zeros > 2700 {
		t.Errorf("%d of 10000 dropped at a rate of 0.25", zeros)
	}
	if !slices.Equal(drop(1), first) {
		t.Error("the same seed and index give another mask")
	}
	if slices.Equal(drop(2), first) {
		t.Error("another index gives the same mask")
	}
	seed = 4
	if slices.Equal(drop(1), first) {
		t.Error("another seed gives the same mask")
	}
}

func TestShapesThatDoNotFit(t *testing.T) {
	s := func(d ...int) tensor.Shape { return d }
	shape := op.BlockShape{Steps: 4, Dim: 6, Heads: 2, KVHeads: 2, HeadDim: 3, Hidden: 24, Eps: 1e-5}
	block := func() op.Func { return op.NewGPT2Block(shape, nil) }
	shape.KVHeads = 1
	llama := op.NewLlamaBlock(shape, op.NewRope(4, 2, 1e4), nil)
	for _, test := range []struct {
		name string
		f    op.Func
		in   []tensor.Shape
	}{
		{"layer norm without bias", &op.LayerNorm{}, []tensor.Shape{s(2, 3), s(3)}},
		{"layer norm of another width", &op.LayerNorm{}, []tensor.Shape{s(2, 3), s(3), s(4)}},
		{"affine of another width", &op.Affine{}, []tensor.Shape{s(2, 3), s(4, 5), s(5)}},
		{"affine without LoRA tensors", &op.Affine{Rank: 2}, []tensor.Shape{s(2, 3), s(3, 5), s(5)}},
		{"LoRA of another rank", &op.Affine{Rank: 2}, []tensor.Shape{s(2, 3), s(3, 5), s(5), s(3, 3), s(5, 3)}},
		{"attention that heads do not divide", &op.Attention{Steps: 2, Heads: 4, KVHeads: 3, Width: 2}, []tensor.Shape{s(4, 20)}},
		{"attention of another width", &op.Attention{Steps: 2, Heads: 4, KVHeads: 2, Width: 2}, []tensor.Shape{s(4, 24)}},
		{"attention of half a row", &op.Attention{Steps: 3, Heads: 2, KVHeads: 2, Width: 3}, []tensor.Shape{s(4, 18)}},
		{"RMS norm with a bias", &op.RMSNorm{}, []tensor.Shape{s(2, 3), s(3), s(3)}},
		{"rope of an odd width", op.NewRope(2, 3, 1e4), []tensor.Shape{s(2, 3)}},
		{"gate of another width", &op.SwiGLU{}, []tensor.Shape{s(2, 3), s(2, 4)}},
		{"linear with a bias", &op.Affine{OutFirst: true, NoBias: true}, []tensor.Shape{s(2, 3), s(5, 3), s(5)}},
		{"linear the wrong way round", &op.Affine{OutFirst: true, NoBias: true}, []tensor.Shape{s(2, 3), s(3, 5)}},
		{"Llama block with a weight too few", llama, []tensor.Shape{s(8, 6), s(6), s(6, 6), s(3, 6), s(3, 6), s(6, 6), s(6), s(24, 6), s(24, 6)}},
		{"block without parameters", block(), []tensor.Shape{s(8, 6)}},
		{"block of another width", block(), []tensor.Shape{s(8, 7)}},
		{"too few positions", &op.Embed{Rows: 1, Slots: 5}, []tensor.Shape{s(9, 4), s(4, 4)}},
		{"soft prompts of another size", &op.Embed{Rows: 1, Slots: 1, Prompt: 2}, []tensor.Shape{s(9, 4), s(4, 4), s(1, 7)}},
		{"head of another width", &op.CrossEntropy{}, []tensor.Shape{s(9, 4), s(7, 5)}},
		{"Gram of cosines with two vectors", &op.Gram{Cosine: true}, []tensor.Shape{s(3, 4), s(3, 4), s(3, 4)}},
		{"Gram of another width", &op.Gram{}, []tensor.Shape{s(3, 4), s(3, 5)}},
		{"anchor alone", &op.Similarity{}, []tensor.Shape{s(3, 4)}},
		{"anchor of other rows", &op.Similarity{}, []tensor.Shape{s(3, 4), s(2, 4)}},
		{"sum of other rows", &op.Sum{}, []tensor.Shape{s(3, 4), s(2, 4)}},
		{"total of a matrix", &op.Total{}, []tensor.Shape{s(2)}},
	} {
		if shape, err := test.f.Shape(test.in); err == nil {
			t.Errorf("%s: shape %v, want an error", test.name, shape)
		}
	}
}
