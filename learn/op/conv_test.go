package op_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/learn/op"
)

// convCase is a convolution with its inputs.
type convCase struct {
	op.Conv2D
	shapes []tensor.Shape // x, weight, bias
	in     [][]float32
}

// newConvCase takes the shape of x as batch, channels, height and width.
func newConvCase(conv op.Conv2D, x, weight tensor.Shape) *convCase {
	x = tensor.Shape{x[0], x[2], x[3], x[1]}
	c := &convCase{Conv2D: conv, shapes: []tensor.Shape{x, weight, {weight[0]}}}
	r := rand.New(rand.NewPCG(1, 3))
	for _, s := range c.shapes {
		v := make([]float32, s.TotalSize())
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		c.in = append(c.in, v)
	}
	return c
}

func (c *convCase) String() string {
	return fmt.Sprintf("x %v, weight %v, stride %d,%d, padding %d,%d, gelu %t",
		c.shapes[0], c.shapes[1], c.StrideH, c.StrideW, c.PadH, c.PadW, c.GELU)
}

// exact is the definition of the convolution in float64.
func (c *convCase) exact(in [][]float64, out tensor.Shape) []float64 {
	x, k := c.shapes[0], c.shapes[1]
	y := make([]float64, 0, out.TotalSize())
	for b := range out[0] {
		for oy := range out[1] {
			for ox := range out[2] {
				for o := range out[3] {
					sum := in[2][o]
					for ch := range x[3] {
						for ky := range k[2] {
							for kx := range k[3] {
								iy, ix := oy*c.StrideH+ky-c.PadH, ox*c.StrideW+kx-c.PadW
								if iy < 0 || iy >= x[1] || ix < 0 || ix >= x[2] {
									continue
								}
								sum += in[0][((b*x[1]+iy)*x[2]+ix)*x[3]+ch] * in[1][((o*x[3]+ch)*k[2]+ky)*k[3]+kx]
							}
						}
					}
					if c.GELU {
						sum = sum / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(sum+0.044715*sum*sum*sum)))
					}
					y = append(y, sum)
				}
			}
		}
	}
	return y
}

// check compares the output with the definition, and the gradients with differences of the definition.
func (c *convCase) check(t interface{ Fatalf(string, ...any) }) {
	shape, err := c.Shape(c.shapes)
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	wide := make([][]float64, 3)
	for i, v := range c.in {
		for _, x := range v {
			wide[i] = append(wide[i], float64(x))
		}
	}
	out := make([]float32, shape.TotalSize())
	c.Forward(out, c.in)
	want := c.exact(wide, shape)
	for i, v := range out {
		if math.Abs(float64(v)-want[i]) > 1e-4 {
			t.Fatalf("%v: output %d is %g, want %g", c, i, v, want[i])
		}
	}

	r := rand.New(rand.NewPCG(2, 3))
	grad := make([]float32, len(out))
	for i := range grad {
		grad[i] = float32(r.NormFloat64())
	}
	grads := make([][]float32, 3)
	for i, v := range c.in {
		grads[i] = make([]float32, len(v))
		grads[i][0] = float32(math.NaN()) // must be overwritten
	}
	c.Backward(grads, grad, c.in, out)
	for i := range wide {
		for range min(5, len(wide[i])) {
			const h = 1e-4
			j := r.IntN(len(wide[i]))
			old := wide[i][j]
			var slope float64
			for _, sign := range []float64{1, -1} {
				wide[i][j] = old + sign*h
				for p, v := range c.exact(wide, shape) {
					slope += sign * v * float64(grad[p]) / (2 * h)
				}
			}
			wide[i][j] = old
			if got := float64(grads[i][j]); !(math.Abs(got-slope) <= 2e-4*(1+math.Abs(slope))) {
				t.Fatalf("%v: gradient of input %d at %d is %g, want %g", c, i, j, got, slope)
			}
		}
	}
	// What is frozen is skipped without changing the rest.
	part := [][]float32{nil, make([]float32, len(c.in[1])), nil}
	c.Backward(part, grad, c.in, out)
	if !slices.Equal(part[1], grads[1]) {
		t.Fatalf("%v: the weight's gradient depends on what else is wanted", c)
	}
}

func TestConv2DIsAConvolution(t *testing.T) {
	for name, c := range map[string]*convCase{
		"series":        newConvCase(op.Conv2D{StrideW: 2, PadW: 3, GELU: true}, tensor.Shape{3, 4, 1, 50}, tensor.Shape{8, 4, 1, 7}),
		"image":         newConvCase(op.Conv2D{StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, GELU: true}, tensor.Shape{2, 3, 12, 9}, tensor.Shape{5, 3, 3, 3}),
		"one point":     newConvCase(op.Conv2D{}, tensor.Shape{1, 1, 1, 1}, tensor.Shape{1, 1, 1, 1}),
		"kernel larger": newConvCase(op.Conv2D{PadH: 3, PadW: 3}, tensor.Shape{2, 2, 2, 2}, tensor.Shape{3, 2, 6, 7}),
		"only padding":  newConvCase(op.Conv2D{StrideH: 4, StrideW: 5, PadH: 5, PadW: 5, GELU: true}, tensor.Shape{1, 1, 2, 2}, tensor.Shape{2, 1, 1, 2}),
	} {
		t.Run(name, func(t *testing.T) { c.check(t) })
	}
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string, lo, hi int) int { return rapid.IntRange(lo, hi).Draw(t, name) }
		kh, kw := n("kh", 1, 4), n("kw", 1, 4)
		conv := op.Conv2D{
			StrideH: n("strideH", 1, 3), StrideW: n("strideW", 1, 3), PadH: n("padH", 0, 3), PadW: n("padW", 0, 3),
			GELU: rapid.Bool().Draw(t, "gelu"),
		}
		channels := n("channels", 1, 3)
		h, w := n("h", max(1, kh-2*conv.PadH), 8), n("w", max(1, kw-2*conv.PadW), 8)
		newConvCase(conv, tensor.Shape{n("batch", 1, 3), channels, h, w}, tensor.Shape{n("out", 1, 4), channels, kh, kw}).check(t)
	})
}

func TestConv2DGradientsThroughTheTape(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 3))
	for name, freeze := range map[string]func(leaf) leaf{"image frozen": frozen, "all": func(l leaf) leaf { return l }} {
		t.Run(name, func(t *testing.T) {
			conv := &op.Conv2D{StrideH: 2, PadH: 1, PadW: 1, GELU: true}
			checkGradients(t, conv, freeze(random(r, 0.5, 2, 6, 4, 3)), random(r, 0.3, 5, 3, 3, 2), random(r, 0.3, 5))
		})
	}
}

func TestConv2DRefusesWhatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		conv   op.Conv2D
		shapes []tensor.Shape
		says   string
	}{
		"rank":     {op.Conv2D{}, []tensor.Shape{{1, 2, 3}, {1, 2, 3, 3}, {1}}, "want x"},
		"channels": {op.Conv2D{}, []tensor.Shape{{1, 5, 5, 2}, {1, 3, 3, 3}, {1}}, "weight"},
		"bias":     {op.Conv2D{}, []tensor.Shape{{1, 5, 5, 2}, {4, 2, 3, 3}, {3}}, "bias"},
		"too big":  {op.Conv2D{PadW: 1}, []tensor.Shape{{1, 2, 5, 2}, {4, 2, 3, 3}, {4}}, "does not fit"},
		"padding":  {op.Conv2D{PadH: -1}, []tensor.Shape{{1, 5, 5, 2}, {4, 2, 3, 3}, {4}}, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.conv.Shape(c.shapes); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// convStep is a warm forward and backward pass.
func convStep(tb testing.TB, c *convCase) (step func(), results [][]float32) {
	shape, err := c.Shape(c.shapes)
	if err != nil {
		tb.Fatal(err)
	}
	out, grad := make([]float32, shape.TotalSize()), make([]float32, shape.TotalSize())
	for i := range grad {
		grad[i] = float32(i%7) - 3
	}
	var grads [][]float32
	for _, v := range c.in {
		grads = append(grads, make([]float32, len(v)))
	}
	return func() {
		c.Forward(out, c.in)
		c.Backward(grads, grad, c.in, out)
	}, append(grads, out)
}

func imageConv() *convCase {
	return newConvCase(op.Conv2D{StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, GELU: true}, tensor.Shape{16, 16, 32, 32}, tensor.Shape{32, 16, 3, 3})
}

func TestConv2DBitsDoNotDependOnThreads(t *testing.T) {
	step, results := convStep(t, imageConv())
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	step()
	var first [][]float32
	for _, v := range results {
		first = append(first, slices.Clone(v))
	}
	runtime.GOMAXPROCS(3)
	step()
	for i, v := range results {
		if !slices.Equal(first[i], v) {
			t.Errorf("result %d differs", i)
		}
	}
}

func TestConv2DAllocatesNothingOnceWarm(t *testing.T) {
	step, _ := convStep(t, imageConv())
	step()
	if n := testing.AllocsPerRun(20, step); n > 0 {
		t.Errorf("%g allocations a step", n)
	}
}

func BenchmarkConv2D(b *testing.B) {
	step, _ := convStep(b, imageConv())
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
