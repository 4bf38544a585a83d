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
	stored := false // whether frozen maps are stored with few digits, and LoRA tunes the first alone
	// leavesOf are x and the parameters of a block of width 6, with LoRA of the given rank on all maps but one. The second norm
	// comes after the map of index out.
	leavesOf := func(b *op.Block, norm func() []leaf, rank int, freeze bool, out int, shapes ...[2]int) (*op.Block, []leaf) {
		leaves := []leaf{random(r, 1, 8, 6)}
		base := func(l ...leaf) {
			for i := range l {
				l[i].frozen = freeze
			}
			leaves = append(leaves, l...)
		}
		base(norm()...)
		for i, f := range b.Affines() {
			if s := shapes[i]; f.OutFirst {
				base(random(r, 0.3, s[1], s[0]))
			} else {
				base(random(r, 0.3, s[0], s[1]), random(r, 0.3, s[1]))
			}
			if stored {
				w := leaves[len(leaves)-1]
				if !f.NoBias {
					w = leaves[len(leaves)-2]
				}
				f.Frozen = kernel.Freeze(kernel.Int8, w.shape[0], w.shape[1], w.data)
			}
			if i != 2 && rank > 0 && !(stored && i > 0) {
				f.Rank, f.Scale = rank, 1.5
				leaves = append(leaves, random(r, 0.4, rank, shapes[i][0]), random(r, 0.4, shapes[i][1], rank))
			}
			if i == out {
				base(norm()...)
			}
		}
		return b, leaves
	}
	gpt := func(rank int, freeze bool) (*op.Block, []leaf) {
		b := op.NewGPT2Block(op.BlockShape{Steps: 4, Dim: 6, Heads: 2, KVHeads: 2, HeadDim: 3, Hidden: 24, Eps: 1e-5}, new(op.Scratch))
		norm := func() []leaf { return []leaf{gain(6), random(r, 0.2, 6)} }
		return leavesOf(b, norm, rank, freeze, 1, [2]int{6, 18}, [2]int{6, 6}, [2]int{6, 24}, [2]int{24, 6})
	}
	llama := func(rank int, freeze bool) (*op.Block, []leaf) {
		b := op.NewLlamaBlock(op.BlockShape{Steps: 4, Dim: 6, Heads: 4, KVHeads: 2, HeadDim: 2, Hidden: 5, Eps: 1e-5}, op.NewRope(4, 2, 3), new(op.Scratch))
		norm := func() []leaf { return []leaf{gain(6)} }
		return leavesOf(b, norm, rank, freeze, 3, [2]int{6, 8}, [2]int{6, 4}, [2]int{6, 4}, [2]int{8, 6}, [2]int{6, 5}, [2]int{6, 5}, [2]int{5, 6})
	}
	type test struct {
		name   string
		f      op.Func
		leaves []leaf
	}
	tests := []test{
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
	for _, f := range []struct {
		name  string
		build func(rank int, freeze bool) (*op.Block, []leaf)
	}{{"GPT-2", gpt}, {"Llama", llama}} {
		family, build := f.name, f.build
		trained, leaves := build(0, false)
		tests = append(tests, test{family + " block, all trained", trained, leaves})
		tuned, leaves := build(2, true)
		tests = append(tests, test{family + " block, LoRA", tuned, leaves})
		first, leaves := build(2, true)
		leaves[0].frozen = true
		tests = append(tests, test{family + " block, LoRA, input is data", first, leaves})
		// Of 8 rows the last is in no sequence, and of the others some are kept, one of them twice.
		last, leaves := build(2, true)
		last.Sequences = &op.Sequences{Lengths: []int{4, 0, 1, 2}}
		last.Most, last.Keep = 6, []int32{2, 3, 3, 4, 6}
		tests = append(tests, test{family + " block that keeps some rows", last, leaves})
		// LoRA on the way in alone, all else stored with few digits: what no gradient needs is not kept.
		stored = true
		few, leaves := build(2, true)
		stored = false
		tests = append(tests, test{family + " block, stored weights", few, leaves})
		dropping, leaves := build(2, true)
		for _, i := range []int{0, 3} {
			dropping.Affines()[i].Noise = noise
		}
		tests = append(tests, test{family + " block, LoRA with dropout", dropping, leaves})
	}
	kerneltest.Each(t, func(t *testing.T) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { checkGradients(t, test.f, test.leaves...) })
		}
	})
}
