package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
	"gonum.org/v1/gonum/blas"
	"pgregory.net/rapid"
)

// operand is a stored matrix with a gap after each row, filled with NaN: reading it would spoil the result.
type operand struct {
	trans      bool
	rows, cols int // of op(X)
	ld         int
	data       []float32
}

func (o operand) at(i, j int) float64 {
	if o.trans {
		i, j = j, i
	}
	return float64(o.data[i*o.ld+j])
}

func newOperand(r *rand.Rand, trans bool, rows, cols, gap int) operand {
	o := operand{trans: trans, rows: rows, cols: cols}
	if trans {
		rows, cols = cols, rows
	}
	o.ld = cols + gap
	o.data = make([]float32, rows*o.ld)
	for i := range o.data {
		o.data[i] = float32(math.NaN())
	}
	for i := range rows {
		for j := range cols {
			o.data[i*o.ld+j] = r.Float32()*2 - 1
		}
	}
	if rows > 0 {
		o.data = o.data[:(rows-1)*o.ld+cols]
	}
	return o
}

type product struct {
	a, b, c     operand
	alpha, beta float32
}

func newProduct(seed uint64, transA, transB bool, m, n, k, gap int, alpha, beta float32) product {
	r := rand.New(rand.NewPCG(seed, 1))
	p := product{
		a: newOperand(r, transA, m, k, gap), b: newOperand(r, transB, k, n, 2*gap), c: newOperand(r, false, m, n, 3*gap),
		alpha: alpha, beta: beta,
	}
	if beta == 0 {
		for i := range p.c.data {
			p.c.data[i] = float32(math.NaN())
		}
	}
	return p
}

func (p product) String() string {
	return fmt.Sprintf("m=%d n=%d k=%d transA=%t transB=%t lda=%d ldb=%d ldc=%d alpha=%g beta=%g",
		p.a.rows, p.b.cols, p.a.cols, p.a.trans, p.b.trans, p.a.ld, p.b.ld, p.c.ld, p.alpha, p.beta)
}

func (p product) gemm() []float32 {
	c := slices.Clone(p.c.data)
	kernel.Gemm(p.a.trans, p.b.trans, p.a.rows, p.b.cols, p.a.cols, p.alpha, p.a.data, p.a.ld, p.b.data, p.b.ld, p.beta, c, p.c.ld)
	return c
}

func (p product) packed() []float32 {
	c := slices.Clone(p.c.data)
	w := kernel.Pack(p.b.trans, p.b.rows, p.b.cols, p.b.data, p.b.ld)
	kernel.GemmPacked(p.a.trans, p.a.rows, p.b.cols, p.a.cols, p.alpha, p.a.data, p.a.ld, w, p.beta, c, p.c.ld)
	return c
}

// check compares a result with the definition in float64, and that the gaps between rows are untouched.
func (p product) check(t interface{ Fatalf(string, ...any) }, got []float32) {
	m, n, k := p.a.rows, p.b.cols, p.a.cols
	for i := range m {
		for j := range p.c.ld {
			if i*p.c.ld+j >= len(got) {
				break
			}
			x := got[i*p.c.ld+j]
			if j >= n {
				if x == x {
					t.Fatalf("%v: element (%d,%d) outside of C was written", p, i, j)
				}
				continue
			}
			var sum, size float64
			for l := range k {
				v := p.a.at(i, l) * p.b.at(l, j)
				sum += v
				size += math.Abs(v)
			}
			want := float64(p.alpha) * sum
			size *= math.Abs(float64(p.alpha))
			if p.beta != 0 {
				want += float64(p.beta) * p.c.at(i, j)
				size += math.Abs(float64(p.beta) * p.c.at(i, j))
			}
			if !(math.Abs(float64(x)-want) <= 1e-7*float64(k+4)*size) {
				t.Fatalf("%v: C(%d,%d) = %g, want %g", p, i, j, x, want)
			}
		}
	}
}

func TestGemmIsTheProductOfAnyShape(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			size := rapid.OneOf(rapid.IntRange(0, 70), rapid.SampledFrom([]int{1, 12, 32, 96, 100, 128, 257}))
			p := newProduct(rapid.Uint64().Draw(t, "seed"), rapid.Bool().Draw(t, "transA"), rapid.Bool().Draw(t, "transB"),
				size.Draw(t, "m"), size.Draw(t, "n"), rapid.OneOf(size, rapid.IntRange(380, 800)).Draw(t, "k"),
				rapid.IntRange(0, 5).Draw(t, "gap"),
				rapid.SampledFrom([]float32{0, 1, -0.5}).Draw(t, "alpha"), rapid.SampledFrom([]float32{0, 1, 0.25}).Draw(t, "beta"))
			got := p.gemm()
			p.check(t, got)
			if !sameBits(got, p.packed()) {
				t.Fatalf("%v: packed weights give other bits", p)
			}
		})
	})
}

// Every height and width of a tile, and a k around the blocking.
func TestGemmEdgesOfTiles(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for m := 1; m <= 25; m++ {
			for _, n := range []int{1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65} {
				for _, k := range []int{1, 2, 7} {
					p := newProduct(uint64(m*1000+n), m%2 == 0, n%3 == 0, m, n, k, 1, 1, 0)
					p.check(t, p.gemm())
				}
			}
		}
		for _, k := range []int{383, 384, 385, 768, 769} {
			p := newProduct(uint64(k), false, true, 13, 35, k, 0, 1, 0.5)
			p.check(t, p.gemm())
		}
	})
}

func TestGemmBitsDoNotDependOnThreads(t *testing.T) {
	shapes := []struct{ m, n, k int }{{512, 256, 256}, {192, 64, 256}, {257, 300, 800}, {8, 1024, 512}, {1, 4096, 300}, {600, 8, 600}}
	kerneltest.Each(t, func(t *testing.T) {
		for _, s := range shapes {
			for _, trans := range []bool{false, true} {
				p := newProduct(7, trans, !trans, s.m, s.n, s.k, 0, 1, 0.5)
				var results [][]float32
				for _, threads := range []int{1, 2, 5} {
					old := runtime.GOMAXPROCS(threads)
					results = append(results, p.gemm(), p.packed())
					runtime.GOMAXPROCS(old)
				}
				for _, r := range results[1:] {
					if !sameBits(results[0], r) {
						t.Fatalf("%v: bits differ", p)
					}
				}
			}
		}
	})
}

// Nodes with different processors must come to the same numbers as far as they can.
func TestAssemblyKernelsAgreeToTheBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 100)
		p := newProduct(1, rapid.Bool().Draw(t, "transA"), rapid.Bool().Draw(t, "transB"), size.Draw(t, "m"), size.Draw(t, "n"),
			rapid.IntRange(1, 500).Draw(t, "k"), 1, 0.5, rapid.SampledFrom([]float32{0, 2}).Draw(t, "beta"))
		var first []float32
		for _, name := range kernel.Kernels() {
			if name == "portable" {
				continue
			}
			restore := kernel.UseKernel(name)
			got := p.gemm()
			restore()
			if first == nil {
				first = got
			}
			if !sameBits(first, got) {
				t.Fatalf("%v: %s differs", p, name)
			}
		}
	})
}

func TestGemmAllocatesNothingOnceWarm(t *testing.T) {
	const n = 300
	x, y, c := make([]float32, n*n), make([]float32, n*n), make([]float32, n*n)
	w := kernel.Pack(false, n, n, y, n)
	step := func() {
		kernel.Gemm(false, true, n, n, n, 1, x, n, y, n, 0, c, n)
		kernel.Gemm(true, false, n, n, n, 1, x, n, y, n, 1, c, n)
		kernel.GemmPacked(false, n, n, n, 1, x, n, w, 0, c, n)
		kernel.GELU(c, x)
	}
	step()
	if allocs := testing.AllocsPerRun(50, step); allocs > 0 {
		t.Errorf("%g allocations a step", allocs)
	}
}

func TestGemmRefusesWhatCannotBe(t *testing.T) {
	x := make([]float32, 11)
	w := kernel.Pack(false, 3, 3, x, 3)
	for name, f := range map[string]func(){
		"A too short": func() { kernel.Gemm(false, false, 3, 2, 4, 1, x, 4, x, 2, 0, x, 2) },
		"B too short": func() { kernel.Gemm(false, true, 2, 3, 4, 1, x, 4, x, 4, 0, x, 3) },
		"C too short": func() { kernel.Gemm(false, false, 4, 3, 1, 1, x, 1, x, 3, 0, x, 3) },
		"lda small":   func() { kernel.Gemm(false, false, 2, 2, 3, 1, x, 2, x, 2, 0, x, 2) },
		"negative":    func() { kernel.Gemm(false, false, -1, 2, 2, 1, x, 2, x, 2, 0, x, 2) },
		"other pack":  func() { kernel.GemmPacked(false, 2, 2, 3, 1, x, 3, w, 0, x, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func TestBLASAgreesWithGonum(t *testing.T) {
	p := newProduct(3, true, false, 33, 21, 50, 0, 2, 0.5)
	got, want := slices.Clone(p.c.data), slices.Clone(p.c.data)
	kernel.BLAS{}.Sgemm(blas.Trans, blas.NoTrans, 33, 21, 50, 2, p.a.data, p.a.ld, p.b.data, p.b.ld, 0.5, got, p.c.ld)
	kernel.BLAS{}.Implementation.Sgemm(blas.Trans, blas.NoTrans, 33, 21, 50, 2, p.a.data, p.a.ld, p.b.data, p.b.ld, 0.5, want, p.c.ld)
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-4 {
			t.Fatalf("element %d is %g, Gonum's %g", i, got[i], want[i])
		}
	}
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}
