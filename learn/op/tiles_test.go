package op_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
	"github.com/mlecs/mlecs/learn/op"
)

// blocksOverTiles are larger than a tile of any kernel in rows and columns, and fill none.
var blocksOverTiles = []blockSize{
	{name: "GPT-2", BlockShape: op.BlockShape{Steps: 9, Dim: 14, Heads: 2, KVHeads: 2, HeadDim: 7, Hidden: 37, Eps: 1e-5}},
	{name: "Llama", llama: true, BlockShape: op.BlockShape{Steps: 9, Dim: 35, Heads: 6, KVHeads: 2, HeadDim: 6, Hidden: 37, Eps: 1e-5}},
}

// casesOverTiles are all ops but Conv2D, which has its own tests, at sizes that take several tiles of a product, or several vectors and a
// rest.
func casesOverTiles() []gradientCase {
	r := rand.New(rand.NewPCG(8, 9))
	seed := uint64(7)
	noise := op.Noise{Rate: 0.3, Seed: &seed, Index: 3}
	x := func() leaf { return random(r, 1, 13, 37) }
	matrix := func(rows, cols int) leaf { return random(r, 0.3, rows, cols) }
	at, target := []int32{0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11, 12}, []int32{3, 0, 6, 44, 32, 31, 33, 1, 2, 4, 5, 7, 8}
	ids := []int32{1, 1, -1, 4, 0, 2, 3, 3, 4, 0, 1, 2, -1}
	cases := []gradientCase{
		{"layer norm", &op.LayerNorm{Eps: 1e-5}, []leaf{x(), gains(r, 37), random(r, 1, 37)}},
		{"RMS norm", &op.RMSNorm{Eps: 1e-5}, []leaf{x(), gains(r, 37)}},
		{"GELU", &op.GELU{}, []leaf{x()}},
		{"SwiGLU", &op.SwiGLU{}, []leaf{x(), x()}},
		{"rope", op.NewRope(13, 22, 10), []leaf{random(r, 1, 13, 44)}},
		{"dropout", &op.Dropout{Noise: noise}, []leaf{x()}},
		{"sum", &op.Sum{}, []leaf{x(), x()}},
		{"flatten", &op.Flatten{}, []leaf{random(r, 1, 2, 3, 5, 19)}},
		{"LoRA with dropout", &op.Affine{Rank: 5, Scale: 2, Noise: noise},
			[]leaf{x(), frozen(matrix(37, 45)), frozen(random(r, 0.3, 45)), matrix(5, 37), matrix(45, 5)}},
		{"linear, all trained", &op.Affine{OutFirst: true, NoBias: true, Rank: 5, Scale: 2},
			[]leaf{x(), matrix(45, 37), matrix(5, 37), matrix(45, 5)}},
		{"attention", &op.Attention{Steps: 13, Heads: 2, KVHeads: 2, Width: 11}, []leaf{random(r, 1, 13, 66)}},
		{"attention with shared keys", &op.Attention{Heads: 6, KVHeads: 2, Width: 5, Sequences: &op.Sequences{Lengths: []int{17, 1, 3}}}, []leaf{random(r, 1, 21, 50)}},
		{"embedding with soft prompts", &op.Embed{Rows: 1, Slots: 13, Prompt: 3, IDs: ids, From: []int32{0}},
			[]leaf{random(r, 1, 5, 37), random(r, 1, 16, 37), random(r, 1, 1, 111)}},
		{"cross-entropy", &op.CrossEntropy{At: at, Target: target}, []leaf{x(), matrix(45, 37)}},
		{"soft targets", &op.SoftTarget{At: []int32{1, 4, 12}, TopIDs: [][]int{{2, 0, 44}, {5, 6}, {33}}, TopLog: [][]float32{{-0.7, -1.5, -2}, {-0.1, -5}, {-0.3}}},
			[]leaf{x(), matrix(45, 37)}},
		{"similarity", &op.Similarity{Rows: [][]int32{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {0, 2, 3}}}, []leaf{frozen(x()), x(), random(r, 1, 13, 19)}},
		{"Gram", &op.Gram{Tau: 0.5, Rows: 13}, []leaf{random(r, 2, 13, 37), random(r, 2, 13, 37), random(r, 2, 13, 37)}},
		{"total", &op.Total{Weights: []float64{0.3, 2}}, []leaf{random(r, 1, 1), random(r, 1, 1)}},
	}
	for _, d := range []kernel.DType{kernel.BFloat16, kernel.Int8} {
		head := matrix(45, 37)
		cases = append(cases, gradientCase{"cross-entropy, head stored as " + d.String(),
			&op.CrossEntropy{At: at, Target: target, Head: op.Head{Frozen: kernel.Freeze(d, 45, 37, head.data)}}, []leaf{x(), frozen(head)}})
	}
	for _, size := range blocksOverTiles {
		for _, d := range []kernel.DType{kernel.Float32, kernel.BFloat16, kernel.Int8} {
			b, leaves := size.block(r, 5, func(int) bool { return true }, d)
			for _, f := range b.Affines() {
				f.Noise = noise
			}
			cases = append(cases, gradientCase{size.name + " block, base as " + d.String(), b, leaves})
		}
	}
	return cases
}

func TestGradientsOverSeveralTiles(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, c := range casesOverTiles() {
			t.Run(c.name, func(t *testing.T) { checkGradients(t, c.f, c.leaves...) })
		}
	})
}

// pass is a forward and a backward pass of f, with the gradients that its leaves want.
func pass(t *testing.T, f op.Func, leaves []leaf) (step func(), out []float32, grads [][]float32) {
	t.Helper()
	var shapes []tensor.Shape
	var in [][]float32
	for _, l := range leaves {
		var grad []float32
		if !l.frozen {
			grad = make([]float32, len(l.data))
		}
		shapes, in, grads = append(shapes, l.shape), append(in, l.data), append(grads, grad)
	}
	shape, err := f.Shape(shapes)
	if err != nil {
		t.Fatal(err)
	}
	out = make([]float32, max(1, shape.TotalSize()))
	grad := random(rand.New(rand.NewPCG(5, 6)), 1, len(out)).data
	return func() {
		f.Forward(out, in)
		f.Backward(grads, grad, in, out)
	}, out, grads
}

func TestOpAllocatesNothingOnceWarm(t *testing.T) {
	for _, c := range casesOverTiles() {
		t.Run(c.name, func(t *testing.T) {
			step, _, _ := pass(t, c.f, c.leaves)
			step()
			if n := testing.AllocsPerRun(5, step); n > 0 {
				t.Errorf("%g allocations a step", n)
			}
		})
	}
}

// Products of bytes round what numeric differences change, so that they are compared with products of float32.
func TestByteProductsGiveTheGradientsOfFloat32(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	x, w, loraA, loraB := random(r, 1, 13, 77), random(r, 0.3, 77, 45), random(r, 0.4, 5, 77), random(r, 0.4, 45, 5)
	outFirst := frozen(random(r, 0.3, 45, 77))
	w.frozen = true
	kerneltest.Each(t, func(t *testing.T) {
		w8a8 := func(w leaf) *kernel.Frozen { return kernel.Freeze(kernel.W8A8, w.shape[0], w.shape[1], w.data) }
		for _, c := range []struct {
			name         string
			exact, bytes op.Func
			leaves       []leaf
		}{
			{"affine with LoRA", &op.Affine{NoBias: true, Rank: 5, Scale: 2}, &op.Affine{NoBias: true, Rank: 5, Scale: 2, Frozen: w8a8(w)}, []leaf{x, w, loraA, loraB}},
			{"linear", &op.Affine{NoBias: true, OutFirst: true}, &op.Affine{NoBias: true, OutFirst: true, Frozen: w8a8(outFirst)}, []leaf{x, outFirst}},
			{"cross-entropy", &op.CrossEntropy{At: []int32{0, 5, 12}, Target: []int32{44, 0, 7}},
				&op.CrossEntropy{At: []int32{0, 5, 12}, Target: []int32{44, 0, 7}, Head: op.Head{Frozen: w8a8(outFirst)}}, []leaf{x, outFirst}},
		} {
			step, want, wantGrads := pass(t, c.exact, c.leaves)
			step()
			step, got, gotGrads := pass(t, c.bytes, c.leaves)
			step()
			near := func(what string, got, want []float32, rounds bool) {
				var diff, all float64
				for i, w := range want {
					diff += math.Pow(float64(got[i]-w), 2)
					all += float64(w) * float64(w)
				}
				if off := math.Sqrt(diff / all); !(off < 0.03) || rounds != (off > 0) {
					t.Errorf("%s: %s is off by %.5f of its length", c.name, what, off)
				}
			}
			near("the output", got, want, true)
			near("the gradient of x", gotGrads[0], wantGrads[0], true)
			for i, g := range wantGrads[1:] {
				if g != nil { // LoRA's, in float32
					near("the gradient of a parameter", gotGrads[i+1], g, false)
				}
			}
		}
	})
}
