package op_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/op"
)

// leaf is one input of a Func under test.
type leaf struct {
	shape  tensor.Shape
	data   []float32
	frozen bool
}

func random(r *rand.Rand, scale float64, shape ...int) leaf {
	l := leaf{shape: shape, data: make([]float32, tensor.Shape(shape).TotalSize())}
	for i := range l.data {
		l.data[i] = float32(r.NormFloat64() * scale)
	}
	return l
}

func frozen(l leaf) leaf { l.frozen = true; return l }

// pick is sum(Weight * x): it makes a scalar of any output, with a known gradient.
type pick struct{ weight []float32 }

func (p *pick) String() string                             { return "pick" }
func (p *pick) Shape([]tensor.Shape) (tensor.Shape, error) { return tensor.Shape{}, nil }
func (p *pick) Forward(out []float32, in [][]float32)      { out[0] = float32(p.of(in[0])) }
func (p *pick) Backward(grads [][]float32, grad []float32, _ [][]float32, _ []float32) {
	for i, w := range p.weight {
		grads[0][i] = w * grad[0]
	}
}

func (p *pick) of(x []float32) float64 {
	var sum float64
	for i, w := range p.weight {
		sum += float64(w) * float64(x[i])
	}
	return sum
}

// checkGradients compares the gradients that Gorgonia's tape computes through f with fourth-order central differences.
func checkGradients(t *testing.T, f op.Func, leaves ...leaf) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	g := op.NewGraph()
	nodes := make([]*gorgonia.Node, len(leaves))
	in := make([][]float32, len(leaves))
	for i, l := range leaves {
		name := string(rune('a' + i))
		in[i] = l.data
		if l.frozen {
			nodes[i] = g.Input(name, l.shape, l.data)
		} else {
			nodes[i] = g.Param(name, l.shape, l.data)
		}
	}
	out, err := g.Apply(f, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	p := &pick{weight: random(r, 1, out.Shape().TotalSize()).data}
	cost, err := g.Apply(p, out)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Differentiate(cost); err != nil {
		t.Fatal(err)
	}
	if err := g.Compile(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second run must not see traces of the first
		if err := g.Run(); err != nil {
			t.Fatal(err)
		}
	}
	got := make([][]float32, len(leaves))
	for i, l := range leaves {
		if !l.frozen {
			got[i] = append([]float32(nil), g.Grad(nodes[i])...)
		}
	}

	buffer := make([]float32, len(p.weight))
	at := func(x *float32, v float32) float64 {
		*x = v
		f.Forward(buffer, in)
		return p.of(buffer)
	}
	for i, l := range leaves {
		if l.frozen {
			continue
		}
		for j := range l.data {
			x := &l.data[j]
			old, h := *x, float32(1.0/64)
			want := (8*(at(x, old+h)-at(x, old-h)) - (at(x, old+2*h) - at(x, old-2*h))) / (12 * float64(h))
			*x = old
			if diff := math.Abs(float64(got[i][j]) - want); !(diff < 2e-3+5e-3*math.Abs(want)) {
				t.Fatalf("%v: gradient of input %d at %d is %g, numerically %g", f, i, j, got[i][j], want)
			}
		}
	}
}

func TestGradients(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seed := uint64(7)
	noise := op.Noise{Rate: 0.3, Seed: &seed, Index: 3}
	affine := func(width, out, rank int) []leaf {
		l := []leaf{random(r, 0.3, width, out), random(r, 0.3, out)}
		if rank > 0 {
			l = append(l, random(r, 0.4, rank, width), random(r, 0.4, out, rank))
		}
		return l
	}
	frozenBase := func(l []leaf) []leaf {
		l[0].frozen, l[1].frozen = true, true
		return l
	}
	gain := func(d int) leaf {
		l := random(r, 0.2, d)
		for i := range l.data {
			l.data[i]++
		}
		return l
	}
	block := func(rank int, freeze bool) (*op.Block, []leaf) {
		const d = 6
		b := op.NewBlock(4, 2, d, 1e-5, new(op.Scratch))
		leaves := []leaf{random(r, 1, 8, d)}
		base := func(l ...leaf) {
			for i := range l {
				l[i].frozen = l[i].frozen || freeze
			}
			leaves = append(leaves, l...)
		}
		part := func(f *op.Affine, width, out, rank int) {
			f.Rank, f.Scale = rank, 1.5
			l := affine(width, out, rank)
			base(l[:2]...)
			leaves = append(leaves, l[2:]...)
		}
		base(gain(d), random(r, 0.2, d))
		part(&b.QKV, d, 3*d, rank)
		part(&b.AttnProj, d, d, rank)
		base(gain(d), random(r, 0.2, d))
		part(&b.FC, d, 4*d, 0)
		part(&b.MLPProj, 4*d, d, rank)
		return b, leaves
	}
	trained, trainedLeaves := block(0, false)
	tuned, tunedLeaves := block(2, true)
	first, firstLeaves := block(2, true)
	firstLeaves[0].frozen = true
	dropping, droppingLeaves := block(2, true)
	dropping.QKV.Noise, dropping.MLPProj.Noise = noise, noise

	tests := []struct {
		name   string
		f      op.Func
		leaves []leaf
	}{
		{"layer norm", &op.LayerNorm{Eps: 1e-5}, []leaf{random(r, 1, 3, 5), gain(5), random(r, 1, 5)}},
		{"layer norm, frozen", &op.LayerNorm{Eps: 1e-5}, []leaf{random(r, 1, 3, 5), frozen(gain(5)), frozen(random(r, 1, 5))}},
		{"gelu", &op.GELU{}, []leaf{random(r, 2, 4, 5)}},
		{"affine", &op.Affine{}, append([]leaf{random(r, 1, 4, 3)}, affine(3, 5, 0)...)},
		{"affine of data", &op.Affine{}, append([]leaf{frozen(random(r, 1, 4, 3))}, affine(3, 5, 0)...)},
		{"affine with LoRA", &op.Affine{Rank: 2, Scale: 2}, append([]leaf{random(r, 1, 4, 3)}, affine(3, 5, 2)...)},
		{"frozen affine with LoRA", &op.Affine{Rank: 2, Scale: 2}, append([]leaf{random(r, 1, 4, 3)}, frozenBase(affine(3, 5, 2))...)},
		{"LoRA with dropout", &op.Affine{Rank: 2, Scale: 2, Noise: noise}, append([]leaf{random(r, 1, 4, 3)}, frozenBase(affine(3, 5, 2))...)},
		{"attention", &op.Attention{Steps: 4, Heads: 2, Dim: 6}, []leaf{random(r, 1, 8, 18)}},
		{"block, all trained", trained, trainedLeaves},
		{"block, LoRA", tuned, tunedLeaves},
		{"block, LoRA, input is data", first, firstLeaves},
		{"block, LoRA with dropout", dropping, droppingLeaves},
		{"embedding", &op.Embed{Rows: 2, Slots: 3, IDs: []int32{1, 1, -1, 4, 0, 2}}, []leaf{random(r, 1, 5, 4), random(r, 1, 6, 4)}},
		{"embedding with soft prompts", &op.Embed{Rows: 3, Slots: 2, Prompt: 2, IDs: []int32{1, 1, -1, 4, 0, 2}, From: []int32{0, 1, 0}},
			[]leaf{random(r, 1, 5, 4), random(r, 1, 6, 4), random(r, 1, 2, 8)}},
		{"embedding, frozen tables", &op.Embed{Rows: 2, Slots: 1, Prompt: 2, IDs: []int32{1, 4}, From: []int32{0, 1}},
			[]leaf{frozen(random(r, 1, 5, 4)), frozen(random(r, 1, 6, 4)), random(r, 1, 2, 8)}},
		{"cross-entropy", &op.CrossEntropy{At: []int32{0, 2, 5}, Target: []int32{3, 0, 6}}, []leaf{random(r, 1, 6, 4), random(r, 0.7, 7, 4)}},
		{"cross-entropy, frozen head", &op.CrossEntropy{At: []int32{0, 2, 5}, Target: []int32{3, 0, 6}}, []leaf{random(r, 1, 6, 4), frozen(random(r, 0.7, 7, 4))}},
		{"cross-entropy without targets", &op.CrossEntropy{}, []leaf{random(r, 1, 6, 4), random(r, 0.7, 7, 4)}},
		{"soft targets", &op.SoftTarget{At: []int32{1, 4}, TopIDs: [][]int{{2, 0}, {5, 6}}, TopLog: [][]float32{{-0.7, -1.5}, {-0.1, -5}}},
			[]leaf{random(r, 1, 6, 4), random(r, 0.7, 7, 4)}},
		{"soft targets that leave no rest", &op.SoftTarget{At: []int32{1}, TopIDs: [][]int{{2, 0}}, TopLog: [][]float32{{-0.5, -0.5}}},
			[]leaf{random(r, 1, 6, 4), frozen(random(r, 0.7, 7, 4))}},
		{"similarity", &op.Similarity{Rows: [][]int32{{0, 1, 2, 3}, {0, 2, 3}}},
			[]leaf{frozen(random(r, 1, 5, 4)), random(r, 1, 5, 6), random(r, 1, 5, 3)}},
		{"similarity of one row", &op.Similarity{Rows: [][]int32{{1}}}, []leaf{frozen(random(r, 1, 5, 4)), random(r, 1, 5, 6)}},
		{"Gram", &op.Gram{Tau: 0.5, Rows: 4}, []leaf{random(r, 2, 5, 6), random(r, 2, 5, 6), random(r, 2, 5, 6)}},
		{"Gram with labels", &op.Gram{Tau: 0.5, Smooth: 0.1, Rows: 4, Labels: []int{1, -1, 1, -1}}, []leaf{frozen(random(r, 2, 5, 6)), random(r, 2, 5, 6)}},
		{"concat", &op.Concat{}, []leaf{random(r, 1, 3, 2), frozen(random(r, 1, 3, 1)), random(r, 1, 3, 4)}},
		{"share of a product", &op.Share{From: 1, Width: 2}, []leaf{random(r, 1, 3, 4), random(r, 1, 4, 5)}},
		{"dropout", &op.Dropout{Noise: noise}, []leaf{random(r, 1, 5, 7)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { checkGradients(t, test.f, test.leaves...) })
	}
}
