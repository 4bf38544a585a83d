package op_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
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

// places are the elements of n that are checked: all of a few, and of many some, the last among them.
func places(r *rand.Rand, n int) []int {
	most := 150
	if testing.Short() {
		most = 25
	}
	if n <= most {
		return r.Perm(n)
	}
	return append(r.Perm(n)[:most/5], n-1)
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
		g.Run()
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
		for _, j := range places(r, len(l.data)) {
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

// gradientCase is an op with inputs whose gradients are checked.
type gradientCase struct {
	name   string
	f      op.Func
	leaves []leaf
}

// gains are near 1.
func gains(r *rand.Rand, d int) leaf {
	l := random(r, 0.2, d)
	for i := range l.data {
		l.data[i]++
	}
	return l
}

// blockSize is a block of one of the families.
type blockSize struct {
	name  string
	llama bool
	op.BlockShape
}

// block builds it with its parameters, after an x of two sequences. With a rank the base is frozen, stored as dtype, and LoRA tunes the
// maps that tuned accepts.
func (s blockSize) block(r *rand.Rand, rank int, tuned func(i int) bool, dtype kernel.DType) (*op.Block, []leaf) {
	q, k := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	b, out := op.NewGPT2Block(s.BlockShape, new(op.Scratch)), 1 // the second norm comes after the map out
	shapes := [][2]int{{s.Dim, q + 2*k}, {q, s.Dim}, {s.Dim, s.Hidden}, {s.Hidden, s.Dim}}
	if s.llama {
		b, out = op.NewLlamaBlock(s.BlockShape, op.NewRope(s.Steps, s.HeadDim, 3), new(op.Scratch)), 3
		shapes = [][2]int{{s.Dim, q}, {s.Dim, k}, {s.Dim, k}, {q, s.Dim}, {s.Dim, s.Hidden}, {s.Dim, s.Hidden}, {s.Hidden, s.Dim}}
	}
	leaves := []leaf{random(r, 1, 2*s.Steps, s.Dim)}
	base := func(l ...leaf) {
		for i := range l {
			l[i].frozen = rank > 0
		}
		leaves = append(leaves, l...)
	}
	norm := func() {
		if base(gains(r, s.Dim)); !s.llama {
			base(random(r, 0.2, s.Dim))
		}
	}
	norm()
	for i, f := range b.Affines() {
		from, to := shapes[i][0], shapes[i][1]
		scale := 0.7 / math.Sqrt(float64(from)) // attention of large numbers is too steep for differences
		w := random(r, scale, from, to)
		if f.OutFirst {
			w = random(r, scale, to, from)
		}
		if base(w); !f.NoBias {
			base(random(r, 0.3, to))
		}
		if dtype != kernel.Float32 {
			f.Frozen = kernel.Freeze(dtype, w.shape[0], w.shape[1], w.data)
		}
		if rank > 0 && tuned(i) {
			f.Rank, f.Scale = rank, 1.5
			leaves = append(leaves, random(r, scale, rank, from), random(r, 0.4, to, rank))
		}
		if i == out {
			norm()
		}
	}
	return b, leaves
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
	gain := func(d int) leaf { return gains(r, d) }
	tests := []gradientCase{
		{"layer norm", &op.LayerNorm{Eps: 1e-5}, []leaf{random(r, 1, 3, 5), gain(5), random(r, 1, 5)}},
		{"layer norm, frozen", &op.LayerNorm{Eps: 1e-5}, []leaf{random(r, 1, 3, 5), frozen(gain(5)), frozen(random(r, 1, 5))}},
		{"gelu", &op.GELU{}, []leaf{random(r, 2, 4, 5)}},
		{"affine", &op.Affine{}, append([]leaf{random(r, 1, 4, 3)}, affine(3, 5, 0)...)},
		{"affine over several tiles", &op.Affine{}, append([]leaf{random(r, 1, 13, 37)}, affine(37, 45, 0)...)},
		{"affine stored in bytes", &op.Affine{NoBias: true, Frozen: kernel.Freeze(kernel.Int8, 37, 45, random(r, 0.3, 37, 45).data)},
			[]leaf{random(r, 1, 13, 37), frozen(random(r, 0.3, 37, 45))}},
		{"cross-entropy, stored head", &op.CrossEntropy{At: []int32{0, 2, 5}, Target: []int32{3, 0, 6}, Head: op.Head{Frozen: kernel.Freeze(kernel.BFloat16, 7, 4, random(r, 0.7, 7, 4).data)}},
			[]leaf{random(r, 1, 6, 4), frozen(random(r, 0.7, 7, 4))}},
		{"embedding, stored tables", &op.Embed{Rows: 2, Slots: 1, Prompt: 2, IDs: []int32{1, 4}, From: []int32{0, 1},
			Tokens: kernel.Freeze(kernel.Int8, 5, 4, random(r, 1, 5, 4).data), Positions: kernel.Freeze(kernel.BFloat16, 6, 4, random(r, 1, 6, 4).data)},
			[]leaf{frozen(random(r, 1, 5, 4)), frozen(random(r, 1, 6, 4)), random(r, 1, 2, 8)}},
		{"affine of data", &op.Affine{}, append([]leaf{frozen(random(r, 1, 4, 3))}, affine(3, 5, 0)...)},
		{"affine with LoRA", &op.Affine{Rank: 2, Scale: 2}, append([]leaf{random(r, 1, 4, 3)}, affine(3, 5, 2)...)},
		{"frozen affine with LoRA", &op.Affine{Rank: 2, Scale: 2}, append([]leaf{random(r, 1, 4, 3)}, frozenBase(affine(3, 5, 2))...)},
		{"LoRA with dropout", &op.Affine{Rank: 2, Scale: 2, Noise: noise}, append([]leaf{random(r, 1, 4, 3)}, frozenBase(affine(3, 5, 2))...)},
		{"attention", &op.Attention{Steps: 4, Heads: 2, KVHeads: 2, Width: 3}, []leaf{random(r, 1, 8, 18)}},
		{"attention with shared keys", &op.Attention{Steps: 4, Heads: 4, KVHeads: 2, Width: 3}, []leaf{random(r, 1, 8, 24)}},
		{"attention over sequences", &op.Attention{Heads: 2, KVHeads: 1, Width: 3, Sequences: &op.Sequences{Lengths: []int{3, 1, 0, 4}}}, []leaf{random(r, 1, 8, 12)}},
		{"RMS norm", &op.RMSNorm{Eps: 1e-5}, []leaf{random(r, 1, 3, 5), gain(5)}},
		{"RMS norm, frozen", &op.RMSNorm{Eps: 1e-5}, []leaf{random(r, 1, 3, 5), frozen(gain(5))}},
		{"RMS norm of data", &op.RMSNorm{Eps: 1e-5}, []leaf{frozen(random(r, 1, 3, 5)), gain(5)}},
		{"rope", op.NewRope(3, 4, 10), []leaf{random(r, 1, 6, 8)}},
		{"SwiGLU", &op.SwiGLU{}, []leaf{random(r, 2, 4, 5), random(r, 1, 4, 5)}},
		{"SwiGLU with a gate of data", &op.SwiGLU{}, []leaf{frozen(random(r, 2, 4, 5)), random(r, 1, 4, 5)}},
		{"linear", &op.Affine{OutFirst: true, NoBias: true}, []leaf{random(r, 1, 4, 3), random(r, 0.3, 5, 3)}},
		{"frozen linear with LoRA and dropout", &op.Affine{OutFirst: true, NoBias: true, Rank: 2, Scale: 2, Noise: noise},
			[]leaf{random(r, 1, 4, 3), frozen(random(r, 0.3, 5, 3)), random(r, 0.4, 2, 3), random(r, 0.4, 5, 2)}},
		{"embedding", &op.Embed{Rows: 2, Slots: 3, IDs: []int32{1, 1, -1, 4, 0, 2}}, []leaf{random(r, 1, 5, 4), random(r, 1, 6, 4)}},
		{"embedding with soft prompts", &op.Embed{Rows: 3, Slots: 2, Prompt: 2, IDs: []int32{1, 1, -1, 4, 0, 2}, From: []int32{0, 1, 0}},
			[]leaf{random(r, 1, 5, 4), random(r, 1, 6, 4), random(r, 1, 2, 8)}},
		{"embedding, frozen tables", &op.Embed{Rows: 2, Slots: 1, Prompt: 2, IDs: []int32{1, 4}, From: []int32{0, 1}},
			[]leaf{frozen(random(r, 1, 5, 4)), frozen(random(r, 1, 6, 4)), random(r, 1, 2, 8)}},
		{"embedding without positions", &op.Embed{Rows: 2, Slots: 1, Prompt: 2, Rotary: true, IDs: []int32{1, 4}, From: []int32{1, 1}},
			[]leaf{random(r, 1, 5, 4), random(r, 1, 2, 8)}},
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
		{"Gram of cosines", &op.Gram{Tau: 0.5, Cosine: true, Rows: 4}, []leaf{random(r, 2, 5, 6), random(r, 2, 5, 6)}},
		{"Gram with labels", &op.Gram{Tau: 0.5, Smooth: 0.1, Rows: 4, Labels: []int{1, -1, 1, -1}}, []leaf{frozen(random(r, 2, 5, 6)), random(r, 2, 5, 6)}},
		{"flatten", &op.Flatten{}, []leaf{random(r, 1, 2, 3, 2, 4)}},
		{"sum", &op.Sum{}, []leaf{random(r, 1, 3, 4), random(r, 1, 3, 4), random(r, 1, 3, 4)}},
		{"dropout", &op.Dropout{Noise: noise}, []leaf{random(r, 1, 5, 7)}},
	}
	for _, size := range []blockSize{
		{name: "GPT-2", BlockShape: op.BlockShape{Steps: 4, Dim: 6, Heads: 2, KVHeads: 2, HeadDim: 3, Hidden: 24, Eps: 1e-5}},
		{name: "Llama", llama: true, BlockShape: op.BlockShape{Steps: 4, Dim: 6, Heads: 4, KVHeads: 2, HeadDim: 2, Hidden: 5, Eps: 1e-5}},
	} {
		add := func(name string, block *op.Block, leaves []leaf) {
			tests = append(tests, gradientCase{size.name + " block, " + name, block, leaves})
		}
		allButThird := func(i int) bool { return i != 2 }
		b, leaves := size.block(r, 0, nil, kernel.Float32)
		add("all trained", b, leaves)
		b, leaves = size.block(r, 2, allButThird, kernel.Float32)
		add("LoRA", b, leaves)
		b, leaves = size.block(r, 2, allButThird, kernel.Float32)
		leaves[0].frozen = true
		add("LoRA, input is data", b, leaves)
		// Of 8 rows the last is in no sequence, and of the others some are kept, one of them twice.
		b, leaves = size.block(r, 2, allButThird, kernel.Float32)
		b.Sequences = &op.Sequences{Lengths: []int{4, 0, 1, 2}}
		b.Most, b.Keep = 6, []int32{2, 3, 3, 4, 6}
		add("that keeps some rows", b, leaves)
		// LoRA on the way in alone, all else stored with few digits: what no gradient needs is not kept.
		b, leaves = size.block(r, 2, func(i int) bool { return i == 0 }, kernel.Int8)
		add("stored weights", b, leaves)
		b, leaves = size.block(r, 2, allButThird, kernel.Float32)
		for _, i := range []int{0, 3} {
			b.Affines()[i].Noise = noise
		}
		add("LoRA with dropout", b, leaves)
	}
	kerneltest.Each(t, func(t *testing.T) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { checkGradients(t, test.f, test.leaves...) })
		}
	})
}
