package method

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/learn/adapter"
)

// pairOf is a LoRA of one module with 2 inputs and 1 output: dimension k has A = (a, 0) and B = b.
func pairOf(dimensions ...[2]float32) adapter.Component {
	var a, b []float32
	for _, d := range dimensions {
		a, b = append(a, d[0], 0), append(b, d[1])
	}
	n := len(dimensions)
	return adapter.Component{Name: "lora", Signature: "s", Tensors: []adapter.Tensor{
		{Name: "m.lora_A.weight", Shape: []int{n, 2}, Data: a},
		{Name: "m.lora_B.weight", Shape: []int{1, n}, Data: b},
	}}
}

// The ranks of methods with different ones sum up to what one rank gives.
func TestRanksMatchInTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rank, n := rapid.IntRange(1, 64).Draw(t, "rank"), rapid.IntRange(1, 50).Draw(t, "nodes")
		sum := 0
		for i := range n {
			r := spread(rank, i, n)
			if r < 1 || r > 2*rank {
				t.Fatalf("rank %d", r)
			}
			sum += r
		}
		if sum != rank*n {
			t.Fatalf("%d nodes have %d dimensions, want %d each", n, sum, rank)
		}
	})
	if got := []int{spread(8, 0, 3), spread(8, 1, 3), spread(8, 2, 3)}; !slices.Equal(got, []int{8, 4, 12}) {
		t.Errorf("ranks %v", got)
	}
}

func TestAlphaGoesWithTheRank(t *testing.T) {
	c := Default()
	if d := ofRank(c, 12); d.Spec.Rank != 12 || d.Spec.Alpha/12 != c.Spec.Alpha/float64(c.Spec.Rank) {
		t.Errorf("rank %d, alpha %v", d.Spec.Rank, d.Spec.Alpha)
	}
}

func TestFirstDimensions(t *testing.T) {
	global := pairOf([2]float32{1, 10}, [2]float32{2, 20}, [2]float32{3, 30})
	for _, c := range []struct {
		have, share int
		want        adapter.Component
	}{
		{2, 2, pairOf([2]float32{1, 10}, [2]float32{2, 20})},
		{3, 2, pairOf([2]float32{1, 10}, [2]float32{2, 20}, [2]float32{})},
		{4, 4, pairOf([2]float32{1, 10}, [2]float32{2, 20}, [2]float32{3, 30}, [2]float32{})},
	} {
		own := pairOf(slices.Repeat([][2]float32{{9, 9}}, c.have)...)
		got := firstDimensions(global, own, c.share)
		for i, x := range got.Tensors {
			if !slices.Equal(x.Data, c.want.Tensors[i].Data) {
				t.Errorf("%d of %d dimensions: %s is %v, want %v", c.share, c.have, x.Name, x.Data, c.want.Tensors[i].Data)
			}
		}
	}
}

// The penalty of self-pruning is the gradient of its norm, and of the last dimension alone.
func TestPruningPenaltyIsAGradient(t *testing.T) {
	c := pairOf([2]float32{1, 2}, [2]float32{3, 0.5})
	last := tail{1, 2}
	gradients := [][]float32{make([]float32, 4), make([]float32, 2)}
	last.penalty(c.Tensors, gradients)
	const h = 1e-3
	for i, x := range c.Tensors {
		for j := range x.Data {
			was := x.Data[j]
			x.Data[j] = was + h
			up := last.norm(c.Tensors)
			x.Data[j] = was - h
			down := last.norm(c.Tensors)
			x.Data[j] = was
			if want := prunePenalty * (up - down) / (2 * h); math.Abs(float64(gradients[i][j])-want) > 1e-5 {
				t.Errorf("%s, value %d: %v, want %v", x.Name, j, gradients[i][j], want)
			}
		}
	}
	if gradients[0][0] != 0 || gradients[1][0] != 0 || gradients[0][2] == 0 {
		t.Errorf("gradients %v", gradients)
	}
}

func TestProximalTermIsAGradient(t *testing.T) {
	centre, at := pairOf([2]float32{1, 2}), pairOf([2]float32{3, 1})
	gradients := [][]float32{{0.5, 0}, {0}}
	proximal(2, []adapter.Component{centre})(at.Tensors, gradients)
	if !slices.Equal(gradients[0], []float32{4.5, 0}) || !slices.Equal(gradients[1], []float32{-2}) {
		t.Errorf("gradients %v", gradients)
	}
}

// FediLoRA mends the lora_A that is least like the global one, unless all are alike.
func TestEditing(t *testing.T) {
	two := func(x, y [2]float32) adapter.Component {
		return adapter.Component{Name: "lora", Tensors: []adapter.Tensor{
			{Name: "m.lora_A.weight", Shape: []int{1, 2}, Data: x[:]},
			{Name: "m.lora_B.weight", Shape: []int{1, 1}, Data: []float32{-1}},
			{Name: "n.lora_A.weight", Shape: []int{1, 2}, Data: y[:]},
			{Name: "n.lora_B.weight", Shape: []int{1, 1}, Data: []float32{-1}},
		}}
	}
	global := two([2]float32{2, 0}, [2]float32{0, 2})
	for name, c := range map[string]struct{ x, y, wantX, wantY [2]float32 }{
		"the second is astray": {[2]float32{1, 0.5}, [2]float32{4, 3}, [2]float32{1, 0.5}, [2]float32{2.4, 2.6}}, // cosine 0.6
		"all are alike":        {[2]float32{1, 0.1}, [2]float32{0, 5}, [2]float32{1, 0.1}, [2]float32{0, 5}},
	} {
		got := edit(two(c.x, c.y), global)
		for j := range 2 {
			if math.Abs(float64(got.Tensors[0].Data[j]-c.wantX[j])) > 1e-6 || math.Abs(float64(got.Tensors[2].Data[j]-c.wantY[j])) > 1e-6 {
				t.Errorf("%s: %v and %v", name, got.Tensors[0].Data, got.Tensors[2].Data)
			}
		}
		if got.Tensors[1].Data[0] != -1 {
			t.Errorf("%s: lora_B changed", name)
		}
	}
}
