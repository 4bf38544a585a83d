package adapter_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"pgregory.net/rapid"
)

// ruleSuite is what every rule must keep.
type ruleSuite struct {
	rule     adapter.Rule
	least    int  // contributions that it needs
	weighted bool // uses weights
	ranks    bool // takes LoRA pairs of different ranks
	product  bool // what it keeps is the product B A, times alpha/r where scaled, not A and B
	scaled   bool
}

var ruleSuites = []ruleSuite{
	{rule: adapter.Mean{}, least: 1, weighted: true},
	{rule: adapter.ZeroPadded{}, least: 1, weighted: true, ranks: true},
	{rule: adapter.DimensionWise{}, least: 1, weighted: true, ranks: true},
	{rule: adapter.ProductMean{}, least: 1, weighted: true, ranks: true, product: true},
	{rule: adapter.ProductMean{Scaled: true}, least: 1, weighted: true, ranks: true, product: true, scaled: true},
	{rule: adapter.FLoRA{}, least: 1, weighted: true, ranks: true, product: true},
	{rule: adapter.FLoRA{Scaled: true}, least: 1, weighted: true, ranks: true, product: true, scaled: true},
	{rule: adapter.HetLoRA{}, least: 1, ranks: true},
	{rule: adapter.HetLoRA{Global: true}, least: 1, ranks: true},
	{rule: adapter.Median{}, least: 1},
	{rule: adapter.TrimmedMean{Trim: 1}, least: 3},
	{rule: adapter.Krum{Faulty: 1, Keep: 1}, least: 5},
	{rule: adapter.Krum{Faulty: 1, Keep: 3}, least: 5},
	{rule: adapter.CenteredClip{Tau: 1e3, Iterations: 2}, least: 1},
}

func TestRules(t *testing.T) {
	names := map[string]bool{}
	for _, s := range ruleSuites {
		name := s.rule.Name()
		if names[name] {
			t.Errorf("two rules are called %q", name)
		}
		names[name] = true
		t.Run(name, func(t *testing.T) {
			t.Run("equal contributions give what they are", s.identity)
			t.Run("order does not matter", s.permutation)
			t.Run("only ratios of weights matter", s.scaleFree)
			t.Run("inputs stay as they are", s.pure)
			t.Run("a result is a component of the same name", s.result)
			t.Run("bad input is refused", s.refuses)
		})
	}
}

const alpha = 16

// drawPair gives LoRA of two modules with a rank.
func drawPair(t *rapid.T, rank int) adapter.Component {
	draw := func(name string, rows, columns int) adapter.Tensor {
		data := rapid.SliceOfN(rapid.Float32Range(-2, 2), rows*columns, rows*columns).Draw(t, name)
		return adapter.Tensor{Name: name, Shape: []int{rows, columns}, Data: data}
	}
	c := adapter.Component{Name: "lora", Tensors: []adapter.Tensor{
		draw("h.0.attn.lora_A.weight", rank, 3), draw("h.0.attn.lora_B.weight", 2, rank),
		draw("h.1.attn.lora_A.weight", rank, 2), draw("h.1.attn.lora_B.weight", 3, rank),
	}}
	c.Signature = adapter.Signature(c.Tensors, "base")
	return c
}

// draw gives contributions that the rule takes.
func (s ruleSuite) draw(t *rapid.T) []adapter.Contribution {
	n := rapid.IntRange(s.least, s.least+3).Draw(t, "contributions")
	cs := make([]adapter.Contribution, n)
	for i := range cs {
		rank := 2
		if s.ranks {
			rank = rapid.IntRange(1, 4).Draw(t, "rank")
		}
		cs[i] = adapter.Contribution{Component: drawPair(t, rank), Weight: rapid.Float64Range(0.1, 10).Draw(t, "weight"), Alpha: alpha}
	}
	return cs
}

func (s ruleSuite) combine(t rapid.TB, cs []adapter.Contribution) adapter.Component {
	t.Helper()
	c, err := s.rule.Combine(cs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// meaning is what must not change: the tensors, or their products.
func (s ruleSuite) meaning(t rapid.TB, c adapter.Component) []adapter.Tensor {
	t.Helper()
	if !s.product || strings.HasSuffix(c.Tensors[0].Name, ".delta") {
		return c.Tensors
	}
	product, err := adapter.ProductMean{}.Combine([]adapter.Contribution{{Component: c, Weight: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return product.Tensors
}

func (s ruleSuite) same(t rapid.TB, got, want []adapter.Tensor, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d tensors, want %d", len(got), len(want))
	}
	for i, w := range want {
		if got[i].Name != w.Name || !slices.Equal(got[i].Shape, w.Shape) {
			t.Fatalf("tensor %q %v, want %q %v", got[i].Name, got[i].Shape, w.Name, w.Shape)
		}
		for j, v := range w.Data {
			if !(math.Abs(float64(got[i].Data[j]-v)) <= tolerance*(1+math.Abs(float64(v)))) {
				t.Fatalf("tensor %q: value %d is %v, want %v", w.Name, j, got[i].Data[j], v)
			}
		}
	}
}

func (s ruleSuite) identity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := drawPair(t, 2)
		cs := make([]adapter.Contribution, rapid.IntRange(s.least, s.least+2).Draw(t, "contributions"))
		for i := range cs {
			cs[i] = adapter.Contribution{Component: one, Weight: float64(i + 1), Alpha: alpha}
		}
		got, want := s.combine(t, cs), one.Clone()
		if s.product {
			want.Tensors = ruleSuite{product: true}.meaning(t, one)
			if s.scaled {
				for _, x := range want.Tensors {
					for j := range x.Data {
						x.Data[j] *= alpha / 2
					}
				}
			}
			s.same(t, s.meaning(t, got), want.Tensors, 1e-5)
			return
		}
		if err := adapter.SameStructure(one, got); err != nil {
			t.Fatal(err)
		}
		s.same(t, got.Tensors, want.Tensors, 1e-6)
	})
}

func (s ruleSuite) permutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := s.draw(t)
		other := rapid.Permutation(cs).Draw(t, "order")
		if k, ok := s.rule.(adapter.Krum); ok {
			_, scores, err := k.Select(cs)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(scores)
			for i := range len(scores) - 1 {
				if scores[i+1]-scores[i] <= 1e-9*scores[i+1] {
					t.Skip("equal scores are broken by order")
				}
			}
		}
		s.same(t, s.meaning(t, s.combine(t, other)), s.meaning(t, s.combine(t, cs)), 1e-4)
	})
}

func (s ruleSuite) scaleFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := s.draw(t)
		before := s.combine(t, cs)
		factor := rapid.Float64Range(1e-3, 1e3).Draw(t, "factor")
		for i := range cs {
			if cs[i].Weight *= factor; !s.weighted {
				cs[i].Weight = rapid.Float64().Draw(t, "any weight")
			}
		}
		s.same(t, s.combine(t, cs).Tensors, before.Tensors, 1e-6)
	})
}

func (s ruleSuite) pure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := s.draw(t)
		copies := make([]adapter.Component, len(cs))
		for i, c := range cs {
			copies[i] = c.Component.Clone()
		}
		for _, x := range s.combine(t, cs).Tensors {
			x.Data[0]++ // results share no memory with inputs
		}
		for i, c := range cs {
			if err := sameTensors(c.Component.Tensors, copies[i].Tensors); err != nil {
				t.Fatalf("contribution %d changed: %v", i, err)
			}
		}
	})
}

func (s ruleSuite) result(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := s.draw(t)
		got := s.combine(t, cs)
		if err := got.Check(); err != nil {
			t.Fatal(err)
		}
		if got.Name != "lora" || !slices.IsSortedFunc(got.Tensors, func(a, b adapter.Tensor) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatalf("component %q, tensors in name order wanted", got.Name)
		}
		for _, c := range cs {
			if same := adapter.SameStructure(c.Component, got) == nil; same != (adapter.Signature(c.Component.Tensors) == adapter.Signature(got.Tensors)) {
				t.Fatalf("signature %s does not say what the shapes are", got.Signature)
			}
		}
	})
}

func (s ruleSuite) refuses(t *testing.T) {
	good := func() []adapter.Contribution {
		return rapid.Custom(func(t *rapid.T) []adapter.Contribution {
			cs := make([]adapter.Contribution, s.least+1)
			for i := range cs {
				cs[i] = adapter.Contribution{Component: drawPair(t, 2), Weight: 1, Alpha: alpha}
			}
			return cs
		}).Example(7)
	}
	last := s.least
	type change struct {
		name, want string
		structure  bool
		skip       bool
		change     func(cs []adapter.Contribution) []adapter.Contribution
	}
	on := func(f func(c *adapter.Contribution)) func([]adapter.Contribution) []adapter.Contribution {
		return func(cs []adapter.Contribution) []adapter.Contribution {
			f(&cs[last])
			return cs
		}
	}
	for _, c := range []change{
		{name: "nothing", want: "no contributions", change: func([]adapter.Contribution) []adapter.Contribution { return nil }},
		{name: "too few", want: "too few", skip: s.least == 1, change: func(cs []adapter.Contribution) []adapter.Contribution { return cs[:s.least-1] }},
		{name: "not a number", want: `component "lora": tensor "h.0.attn.lora_A.weight": value 2 is NaN`, change: on(func(c *adapter.Contribution) { c.Component.Tensors[0].Data[2] = float32(math.NaN()) })},
		{name: "another name", want: "lora", structure: true, change: on(func(c *adapter.Contribution) { c.Component.Name = "encoder/image" })},
		{name: "another base", want: "signature", structure: true, change: on(func(c *adapter.Contribution) { c.Component.Signature = "ff" })},
		{name: "no tensors", want: "no tensors", change: on(func(c *adapter.Contribution) { c.Component.Tensors = nil })},
		{name: "a tensor less", want: `component "lora"`, structure: true, change: on(func(c *adapter.Contribution) { c.Component.Tensors = c.Component.Tensors[:3] })},
		{name: "a module less", want: `component "lora"`, structure: true, change: on(func(c *adapter.Contribution) { c.Component.Tensors = c.Component.Tensors[:2] })},
		{name: "another module", want: `h.9.attn`, structure: true, change: on(func(c *adapter.Contribution) {
			c.Component.Tensors[2].Name, c.Component.Tensors[3].Name = "h.9.attn.lora_A.weight", "h.9.attn.lora_B.weight"
		})},
		{name: "other inputs", want: `h.0.attn`, structure: true, change: on(func(c *adapter.Contribution) {
			x := &c.Component.Tensors[0]
			x.Shape, x.Data = []int{2, 4}, make([]float32, 8)
		})},
		{name: "ranks that disagree", want: `h.0.attn`, structure: true, change: on(func(c *adapter.Contribution) {
			x := &c.Component.Tensors[0]
			x.Shape, x.Data = []int{3, 3}, make([]float32, 9)
		})},
		{name: "negative weight", want: `component "lora": weight`, skip: !s.weighted, change: on(func(c *adapter.Contribution) { c.Weight = -1 })},
		{name: "weights of zero", want: "sum to 0", skip: !s.weighted, change: func(cs []adapter.Contribution) []adapter.Contribution {
			for i := range cs {
				cs[i].Weight = 0
			}
			return cs
		}},
		{name: "no alpha", want: "alpha is 0", skip: !s.scaled, change: on(func(c *adapter.Contribution) { c.Alpha = 0 })},
		{name: "not LoRA", want: `tensor "conv.weight"`, structure: true, change: on(func(c *adapter.Contribution) { c.Component.Tensors[3].Name = "conv.weight" })},
	} {
		if c.skip {
			continue
		}
		_, err := s.rule.Combine(c.change(good()))
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, adapter.ErrStructure) != c.structure {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestRulesRefuseBadParameters(t *testing.T) {
	for _, r := range []adapter.Rule{
		adapter.TrimmedMean{Trim: -1}, adapter.TrimmedMean{Trim: math.MaxInt},
		adapter.Krum{Faulty: -1, Keep: 1}, adapter.Krum{Faulty: 1, Keep: 0}, adapter.Krum{Faulty: 1, Keep: 9}, adapter.Krum{Faulty: math.MaxInt, Keep: 1},
		adapter.CenteredClip{Tau: 0, Iterations: 1}, adapter.CenteredClip{Tau: math.NaN(), Iterations: 1}, adapter.CenteredClip{Tau: 1},
	} {
		cs := make([]adapter.Contribution, 8)
		for i := range cs {
			cs[i].Component = lora(1, 2)
		}
		if _, err := r.Combine(cs); err == nil || !strings.Contains(err.Error(), `component "lora"`) {
			t.Errorf("%s %+v: error %v", r.Name(), r, err)
		}
	}
}

// vectors are components of one value each.
func vectors(values ...float32) []adapter.Contribution {
	cs := make([]adapter.Contribution, len(values))
	for i, v := range values {
		cs[i] = adapter.Contribution{Component: lora(v, -v), Weight: 1}
	}
	return cs
}

// One liar among honest ones, however loud, moves a robust result no further than the honest reach.
func TestRobustRulesBearALiar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lie := rapid.Float32Range(-1e6, 1e6).Draw(t, "lie")
		cs := vectors(1, 1.1, 1.2, 1.3, 1.4, 1.5, lie)
		cs[6].Weight = 1e9
		for _, r := range []adapter.Rule{adapter.Median{}, adapter.TrimmedMean{Trim: 1}, adapter.Krum{Faulty: 1, Keep: 1}, adapter.Krum{Faulty: 1, Keep: 3}} {
			got, err := r.Combine(cs)
			if err != nil {
				t.Fatal(err)
			}
			if v := got.Tensors[0].Data[0]; v < 1 || v > 1.5 {
				t.Fatalf("%s: %v", r.Name(), v)
			}
		}
		clip := adapter.CenteredClip{Tau: 1, Iterations: 20}
		got, err := clip.Combine(cs)
		if err != nil {
			t.Fatal(err)
		}
		if v := got.Tensors[0].Data[0]; v < 1 || v > 1.6 { // a cut difference has length 1, so a lie adds at most 1/sqrt(2)/6
			t.Fatalf("%s: %v", clip.Name(), v)
		}
	})
}

func TestDimensionWiseLeavesOutWhoHasNotTheDimension(t *testing.T) {
	small, large := drawExample(1), drawExample(3)
	cs := []adapter.Contribution{{Component: small, Weight: 3}, {Component: large, Weight: 1}}
	got, err := adapter.DimensionWise{}.Combine(cs)
	if err != nil {
		t.Fatal(err)
	}
	padded, err := adapter.ZeroPadded{}.Combine(cs)
	if err != nil {
		t.Fatal(err)
	}
	for j := range 3 { // rows of three values
		whole := large.Tensors[0].Data[3+j]
		if a, b := got.Tensors[0].Data[3+j], padded.Tensors[0].Data[3+j]; a != whole || b != whole/4 {
			t.Errorf("value %d of the second row: %v and, padded, %v; the only one is %v", j, a, b, whole)
		}
	}
	if got.Signature != large.Signature {
		t.Errorf("signature %s, want %s, whose shapes these are", got.Signature, large.Signature)
	}
	cs[1].Weight = 0
	if got, err = (adapter.DimensionWise{}).Combine(cs); err != nil {
		t.Fatal(err)
	}
	if a := got.Tensors[0].Data; a[3] != 0 || a[0] != small.Tensors[0].Data[0] {
		t.Errorf("a dimension that nobody with a weight has is %v, want 0", a)
	}
}

func drawExample(rank int) adapter.Component {
	return rapid.Custom(func(t *rapid.T) adapter.Component { return drawPair(t, rank) }).Example(rank)
}

func TestHetLoRAOfUntrainedAdaptersIsTheirMean(t *testing.T) {
	one := drawExample(2)
	for _, i := range []int{1, 3} {
		clear(one.Tensors[i].Data) // B
	}
	other := one.Clone()
	other.Tensors[0].Data[0]++
	for _, r := range []adapter.HetLoRA{{}, {Global: true}} {
		got, err := r.Combine([]adapter.Contribution{{Component: one}, {Component: other}})
		if err != nil {
			t.Fatal(err)
		}
		if want := one.Tensors[0].Data[0] + 0.5; math.Abs(float64(got.Tensors[0].Data[0]-want)) > 1e-6 {
			t.Errorf("%s: %v, want %v", r.Name(), got.Tensors[0].Data[0], want)
		}
	}
}

func TestTruncateRefuses(t *testing.T) {
	c := drawExample(2)
	for _, rank := range []int{-1, 0, 3} {
		if _, err := adapter.Truncate(c, rank, "s"); !errors.Is(err, adapter.ErrStructure) || !strings.Contains(fmt.Sprint(err), `module "h.0.attn"`) {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
	if _, err := adapter.Truncate(lora(1), 1, "s"); !errors.Is(err, adapter.ErrStructure) {
		t.Errorf("no LoRA: %v", err)
	}
}
