package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
	"golang.org/x/sys/cpu"
	"pgregory.net/rapid"
)

// byteProduct is a product with a matrix [rows, cols] of bytes, or its transpose.
type byteProduct struct {
	trans       bool
	m, k, n     int
	alpha, beta float32
	a, w, c     []float32
	lda, ldc    int
	frozen      *kernel.Frozen
}

func newByteProduct(seed uint64, trans bool, m, k, n int, alpha, beta float32) *byteProduct {
	p := &byteProduct{trans: trans, m: m, k: k, n: n, alpha: alpha, beta: beta, lda: k + 3, ldc: n + 5}
	p.a, p.w, p.c = randomMatrix(seed, m, p.lda), randomMatrix(seed+1, k, n), randomMatrix(seed+2, m, p.ldc)
	// Magnitudes of groups differ, as those of activations do.
	random := rand.New(rand.NewPCG(seed, 3))
	for i := 0; i < len(p.a); i += 32 {
		kernel.Scale(float32(math.Exp2(float64(random.IntN(20)-10))), p.a[i:min(i+32, len(p.a))])
	}
	rows, cols := k, n
	if trans {
		rows, cols = n, k
	}
	p.frozen = kernel.Freeze(kernel.W8A8, rows, cols, p.w)
	return p
}

// weight is the element (i, j) of op(W).
func (p *byteProduct) weight(i, j int) float64 {
	if p.trans {
		return float64(p.w[j*p.k+i])
	}
	return float64(p.w[i*p.n+j])
}

func (p *byteProduct) compute() []float32 {
	c := slices.Clone(p.c)
	kernel.GemmFrozen(p.trans, p.m, p.alpha, p.a, p.lda, p.frozen, p.beta, c, p.ldc)
	return c
}

// reference is the element (i, j) of the exact result, and how far rounding both operands to bytes, half a step at most each, and then the sums of
// groups to float32 may lead from it.
func (p *byteProduct) reference(i, j int) (want, tolerance float64) {
	const group, half = 64, 0.5001 / 127
	var size float64
	for g := 0; g < p.k; g += group {
		var largestA, largestW float64
		end := min(g+group, p.k)
		for q := g; q < end; q++ {
			largestA = max(largestA, math.Abs(float64(p.a[i*p.lda+q])))
			largestW = max(largestW, math.Abs(p.weight(q, j)))
		}
		for q := g; q < end; q++ {
			x, w := float64(p.a[i*p.lda+q]), p.weight(q, j)
			want += x * w
			dx, dw := half*largestA, half*largestW
			tolerance += math.Abs(x)*dw + math.Abs(w)*dx + dx*dw
			size += math.Abs(x * w)
		}
	}
	alpha, beta, old := float64(p.alpha), float64(p.beta), float64(p.c[i*p.ldc+j])
	want = alpha*want + beta*old
	const ulp = 1.0 / (1 << 23)
	tolerance = math.Abs(alpha)*tolerance + ulp*float64(4+p.k/group)*(math.Abs(alpha)*size+math.Abs(beta*old))
	return want, tolerance
}

// TestByteProductsAreWithinTheirRounding: of the product in float64, in both directions, at sizes that fill no tile and no group.
func TestByteProductsAreWithinTheirRounding(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			size := rapid.OneOf(rapid.IntRange(1, 70), rapid.SampledFrom([]int{64, 96, 130, 200, 257}))
			factor := rapid.SampledFrom([]float32{0, 1, -0.75})
			p := newByteProduct(rapid.Uint64().Draw(t, "seed"), rapid.Bool().Draw(t, "trans"), rapid.IntRange(1, 40).Draw(t, "m"),
				size.Draw(t, "k"), size.Draw(t, "n"), factor.Draw(t, "alpha"), factor.Draw(t, "beta"))
			c := p.compute()
			for i := range c {
				row, col := i/p.ldc, i%p.ldc
				if col >= p.n {
					if math.Float32bits(c[i]) != math.Float32bits(p.c[i]) {
						t.Fatalf("element %d of row %d, beyond its end, was written", col, row)
					}
					continue
				}
				if want, tolerance := p.reference(row, col); !(math.Abs(float64(c[i])-want) <= tolerance) {
					t.Fatalf("%d x %d x %d, trans %t: element (%d, %d) is %g, want %g within %g", p.m, p.n, p.k, p.trans, row, col, c[i], want, tolerance)
				}
			}
		})
	})
}

// TestByteProductsHaveTheSameBitsEverywhere: of every implementation, and for every number of threads.
func TestByteProductsHaveTheSameBitsEverywhere(t *testing.T) {
	for _, s := range [][3]int{{1, 64, 32}, {12, 128, 64}, {29, 500, 77}, {300, 192, 416}, {8, 65, 31}} {
		for _, trans := range []bool{false, true} {
			p := newByteProduct(7, trans, s[0], s[1], s[2], 0.7, 0.3)
			p.a[3], p.a[1] = 1e-38, -1e-42 // some groups are taken for zero
			var first []float32
			kerneltest.Each(t, func(t *testing.T) {
				for _, threads := range []int{1, 2, 3} {
					previous := runtime.GOMAXPROCS(threads)
					c := p.compute()
					runtime.GOMAXPROCS(previous)
					if first == nil {
						first = c
					} else if !sameBits(first, c) {
						t.Errorf("%v, trans %t, %d threads: other bits", s, trans, threads)
					}
				}
			})
		}
	}
}

func TestByteProductsPassNaNOn(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			p := newByteProduct(1, false, 3, 130, 40, 1, 0)
			p.a[p.lda+70] = float32(bad)
			for i, v := range p.compute() {
				row, col := i/p.ldc, i%p.ldc
				if col < p.n && (v != v) != (row == 1) {
					t.Fatalf("%g in row 1: element (%d, %d) is %g", bad, row, col, v)
				}
			}
		}
	})
}

func TestBytesOfSmallGroups(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, x := range []float32{0, 1e-45, 1e-38, 0x1p-100, 1e-20, 1, 3e38} {
			f := kernel.Freeze(kernel.W8A8, 64, 1, slices.Repeat([]float32{0.25}, 64))
			c := make([]float32, 1)
			a := make([]float32, 64)
			a[5] = x
			kernel.GemmFrozen(false, 1, 1, a, 64, f, 0, c, 1)
			want := float64(x) / 4
			if x < 0x1p-100 {
				want = 0
			}
			if !(math.Abs(float64(c[0])-want) <= 1e-6*want) {
				t.Errorf("%g times a quarter is %g", x, c[0])
			}
		}
	})
}

func TestOnThisMachine(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, d := range dtypes {
			want := d
			if d == kernel.W8A8 && (kernel.Active() != "AVX-512" || !cpu.X86.HasAVX512VNNI) {
				want = kernel.Int8
			}
			if got := d.OnThisMachine(); got != want {
				t.Errorf("%v is stored as %v, want %v", d, got, want)
			}
			if said := d.Shortfall(); (said != "") != (want != d) || said != "" && !strings.Contains(said, "stored as int8") {
				t.Errorf("%v, stored as %v: %q", d, want, said)
			}
		}
	})
}

// BenchmarkBytes is the speed of x W^T, beside that in float32, for the rows of a step and of decoding.
func BenchmarkBytes(b *testing.B) {
	for _, s := range [][2]int{{768, 768}, {768, 3072}, {3072, 768}} {
		k, n := s[0], s[1]
		w := randomMatrix(9, n, k)
		forms := map[string]*kernel.Frozen{"packed": kernel.Freeze(kernel.Float32, n, k, w).Packed(true), "w8a8": kernel.Freeze(kernel.W8A8, n, k, w)}
		for _, m := range []int{8, 128} {
			a, c := randomMatrix(10, m, k), make([]float32, m*n)
			for _, name := range []string{"packed", "w8a8"} {
				b.Run(fmt.Sprintf("%dx%dx%d/%s", m, n, k, name), func(b *testing.B) {
					for b.Loop() {
						kernel.GemmFrozen(true, m, 1, a, k, forms[name], 0, c, n)
					}
					b.ReportMetric(2*float64(m*n*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
				})
			}
		}
	}
}
