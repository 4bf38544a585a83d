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
	"pgregory.net/rapid"
)

var (
	dtypes  = []kernel.DType{kernel.Float32, kernel.BFloat16, kernel.Int8, kernel.W8A8}
	widened = dtypes[:3] // what products widen to float32
)

func randomMatrix(seed uint64, rows, cols int) []float32 {
	r := rand.New(rand.NewPCG(seed, 2))
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// rowsOf is what a frozen matrix stands for.
func rowsOf(f *kernel.Frozen) []float32 {
	rows, cols := f.Size()
	all := make([]float32, rows*cols)
	for i := range rows {
		f.Row(all[i*cols:], i)
	}
	return all
}

// TestFrozenProductsAreThoseOfItsRows: of what is widened, to the bit, in both directions, whatever is stored and packed.
func TestFrozenProductsAreThoseOfItsRows(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			size := rapid.OneOf(rapid.IntRange(0, 70), rapid.SampledFrom([]int{64, 96, 130, 257, 520}))
			m, rows, cols := size.Draw(t, "m"), size.Draw(t, "rows"), size.Draw(t, "cols")
			trans := rapid.Bool().Draw(t, "trans")
			beta := rapid.SampledFrom([]float32{0, 1, 0.25}).Draw(t, "beta")
			f := kernel.Freeze(rapid.SampledFrom(widened).Draw(t, "dtype"), rows, cols, randomMatrix(rapid.Uint64().Draw(t, "seed"), rows, cols))
			if rapid.Bool().Draw(t, "packed") {
				f = f.Packed(rapid.Bool().Draw(t, "packed trans"))
			}
			k, n := rows, cols
			if trans {
				k, n = n, k
			}
			a, c := randomMatrix(1, m, k), randomMatrix(2, m, n)
			want := slices.Clone(c)
			kernel.Gemm(false, trans, m, n, k, 2, a, k, rowsOf(f), cols, beta, want, n)
			kernel.GemmFrozen(trans, m, 2, a, k, f, beta, c, n)
			if !sameBits(c, want) {
				t.Fatalf("%d x %d x %d, trans %t, %v: the product is not that of the rows", m, n, k, trans, f.DType())
			}
		})
	})
}

func TestFrozenBitsDoNotDependOnThreads(t *testing.T) {
	const m, rows, cols = 300, 400, 500
	for _, d := range dtypes {
		f := kernel.Freeze(d, rows, cols, randomMatrix(3, rows, cols))
		a := randomMatrix(4, m, cols)
		var first []float32
		for _, threads := range []int{1, 2, 3} {
			previous := runtime.GOMAXPROCS(threads)
			c := make([]float32, m*rows)
			kernel.GemmFrozen(true, m, 1, a, cols, f, 0, c, rows)
			runtime.GOMAXPROCS(previous)
			if first == nil {
				first = c
			} else if !sameBits(first, c) {
				t.Errorf("%v: %d threads give other bits than one", d, threads)
			}
		}
	}
}

func TestFrozenKeepsValuesAsItsTypeCan(t *testing.T) {
	const rows, cols = 31, 200 // the last group of a row is not full
	w := randomMatrix(5, rows, cols)
	w[0], w[1] = 0, float32(math.Copysign(0, -1))
	clear(w[cols : 2*cols]) // a row without a scale
	kerneltest.Each(t, func(t *testing.T) {
		for _, d := range dtypes {
			got := rowsOf(kernel.Freeze(d, rows, cols, w))
			for i, v := range w {
				tolerance := 0.0
				switch d {
				case kernel.BFloat16:
					tolerance = math.Abs(float64(v)) / 256
				case kernel.Int8, kernel.W8A8:
					var largest float64
					begin := i/cols*cols + i%cols/64*64
					for _, x := range w[begin:min(begin+64, (i/cols+1)*cols)] {
						largest = max(largest, math.Abs(float64(x)))
					}
					tolerance = largest / 127 * 0.5001
				}
				if !(math.Abs(float64(got[i]-v)) <= tolerance) {
					t.Fatalf("%v: element %d is %g, want %g within %g", d, i, got[i], v, tolerance)
				}
			}
		}
	})
}

func TestBFloat16RoundsToNearestEven(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct{ from, to float32 }{
		{1, 1}, {1 + 1.0/256, 1}, {1 + 3.0/256, 1 + 4.0/256}, {1 + 1.001/256, 1 + 2.0/256}, {-3.4e38, -inf}, {inf, inf}, {1e-40, math.Float32frombits(1 << 16)},
	} {
		got := rowsOf(kernel.Freeze(kernel.BFloat16, 1, 1, []float32{c.from}))[0]
		if got != c.to {
			t.Errorf("%g became %g, want %g", c.from, got, c.to)
		}
	}
	if got := rowsOf(kernel.Freeze(kernel.BFloat16, 1, 1, []float32{math.Float32frombits(0x7f800001)}))[0]; got == got {
		t.Errorf("NaN became %g", got)
	}
}

func TestFrozenIsAsSmallAsPromised(t *testing.T) {
	const n = 128 * 192
	w := randomMatrix(6, 128, 192)
	for d, most := range map[kernel.DType]float64{kernel.Float32: 4, kernel.BFloat16: 2, kernel.Int8: 1.1, kernel.W8A8: 2.2} {
		if got := float64(kernel.Freeze(d, 128, 192, w).Bytes()) / n; got > most {
			t.Errorf("%v takes %g bytes an element, want at most %g", d, got, most)
		}
	}
	if got := kernel.Freeze(kernel.Float32, 128, 192, w).Packed(true).Bytes(); got != 8*n {
		t.Errorf("a packed float32 matrix counts %d bytes, want two copies of %d", got, 4*n)
	}
}

func TestFrozenAllocatesNothingOnceWarm(t *testing.T) {
	const m, n = 100, 300
	a, c := randomMatrix(7, m, n), make([]float32, m*n)
	for _, d := range dtypes {
		f := kernel.Freeze(d, n, n, randomMatrix(8, n, n))
		step := func() {
			kernel.GemmFrozen(false, m, 1, a, n, f, 0, c, n)
			kernel.GemmFrozen(true, m, 1, a, n, f, 1, c, n)
		}
		step()
		if allocs := testing.AllocsPerRun(50, step); allocs > 0 {
			t.Errorf("%v: %g allocations a product", d, allocs)
		}
	}
}

func TestFrozenRefusesWhatCannotBe(t *testing.T) {
	x := make([]float32, 12)
	f := kernel.Freeze(kernel.Int8, 3, 4, x)
	for name, call := range map[string]func(){
		"short":       func() { kernel.Freeze(kernel.BFloat16, 4, 4, x) },
		"negative":    func() { kernel.Freeze(kernel.Float32, -1, 4, x) },
		"A too short": func() { kernel.GemmFrozen(true, 4, 1, x, 4, f, 0, x, 3) },
		"C too short": func() { kernel.GemmFrozen(false, 4, 1, x, 3, f, 0, x, 4) },
		"row's end":   func() { f.Row(x[:3], 0) },
		"no such row": func() { f.Row(x, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

func TestDTypeHasANameAndBack(t *testing.T) {
	for _, d := range dtypes {
		if got, err := kernel.ParseDType(d.String()); err != nil || got != d {
			t.Errorf("%v: %v, %v", d, got, err)
		}
	}
	if _, err := kernel.ParseDType("fp8"); err == nil {
		t.Error("fp8 is accepted")
	}
}

// BenchmarkFrozen is GFLOP/s of x W^T for the rows of a step and of decoding.
func BenchmarkFrozen(b *testing.B) {
	const k, n = 768, 3072
	w := randomMatrix(9, n, k)
	for _, m := range []int{8, 128} {
		a, c := randomMatrix(10, m, k), make([]float32, m*n)
		for _, f := range []struct {
			name string
			w    *kernel.Frozen
		}{
			{"packed", kernel.Freeze(kernel.Float32, n, k, w).Packed(true)}, {"fp32", kernel.Freeze(kernel.Float32, n, k, w)},
			{"bf16", kernel.Freeze(kernel.BFloat16, n, k, w)}, {"int8", kernel.Freeze(kernel.Int8, n, k, w)},
		} {
			b.Run(fmt.Sprintf("%s/rows=%d", f.name, m), func(b *testing.B) {
				for b.Loop() {
					kernel.GemmFrozen(true, m, 1, a, k, f.w, 0, c, n)
				}
				b.ReportMetric(2*float64(m*n*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}
