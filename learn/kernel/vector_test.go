package kernel_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
)

// values are n numbers spread over [-size, size].
func values(seed uint64, n int, size float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32((r.Float64()*2 - 1) * size)
	}
	return x
}

// near fails if any element is further from want than tol, relative for numbers above 1.
func near(t *testing.T, what string, got []float32, tol float64, want func(i int) float64) {
	t.Helper()
	for i, x := range got {
		w := want(i)
		if !(math.Abs(float64(x)-w) <= tol*max(1, math.Abs(w))) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, x, w)
		}
	}
}

// lengths cover whole vectors, tails and more than one range of Do.
var lengths = []int{0, 1, 3, 8, 15, 16, 17, 33, 100, 140000}

func geluExact(x float64) float64 {
	return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func TestElementwise(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, n := range lengths {
			x, y := values(1, n, 12), values(2, n, 3)
			dst := make([]float32, n)

			kernel.Exp(dst, x)
			for i, v := range dst {
				if w := math.Exp(float64(x[i])); math.Abs(float64(v)-w) > 3e-7*w {
					t.Fatalf("exp(%g) = %g, want %g", x[i], v, w)
				}
			}
			kernel.GELU(dst, x)
			near(t, "gelu", dst, 1e-6, func(i int) float64 { return geluExact(float64(x[i])) })
			kernel.GELUGrad(dst, x, y)
			near(t, "gelu'", dst, 5e-6, func(i int) float64 {
				const h = 1e-5
				v := float64(x[i])
				return float64(y[i]) * (geluExact(v+h) - geluExact(v-h)) / (2 * h)
			})
			grad := slices.Clone(dst)
			slope := slices.Clone(x)
			kernel.GELUSlope(dst, slope, slope)
			near(t, "gelu with its slope", dst, 1e-6, func(i int) float64 { return geluExact(float64(x[i])) })
			near(t, "slope of gelu", slope, 2e-6, func(i int) float64 { return float64(grad[i]) / float64(y[i]) })
			gate, up := slices.Clone(x), slices.Clone(y)
			kernel.SwiGLU(dst, gate, up, gate, up)
			sigmoid := func(i int) float64 { return 1 / (1 + math.Exp(-float64(x[i]))) }
			near(t, "SwiGLU", dst, 1e-6, func(i int) float64 { return float64(x[i]) * sigmoid(i) * float64(y[i]) })
			near(t, "SwiGLU's slope of gate", gate, 1e-6, func(i int) float64 {
				return float64(y[i]) * sigmoid(i) * (1 + float64(x[i])*(1-sigmoid(i)))
			})
			near(t, "SwiGLU's slope of up", up, 1e-6, func(i int) float64 { return float64(x[i]) * sigmoid(i) })
			copy(dst, y)
			kernel.AddScaled(-1.5, x, dst)
			near(t, "sum with multiples", dst, 1e-6, func(i int) float64 { return float64(y[i]) - 1.5*float64(x[i]) })
			copy(dst, y)
			kernel.Scale(3, dst)
			near(t, "scale", dst, 1e-6, func(i int) float64 { return 3 * float64(y[i]) })
			var want, size float64
			for i := range x {
				want += float64(x[i]) * float64(y[i])
				size += math.Abs(float64(x[i]) * float64(y[i]))
			}
			if got := float64(kernel.Dot(x, y)); math.Abs(got-want) > 1e-6*size {
				t.Errorf("dot of %d = %g, want %g", n, got, want)
			}
		}
	})
}

func TestExpAtTheEnds(t *testing.T) {
	inf := float32(math.Inf(1))
	kerneltest.Each(t, func(t *testing.T) {
		x := []float32{-inf, -1000, -88, -87, 0, 88, 89, 1000, inf, float32(math.NaN())}
		y := make([]float32, len(x))
		kernel.Exp(y, x)
		for i, v := range y[:3] {
			if v != 0 {
				t.Errorf("exp(%g) = %g, want 0", x[i], v)
			}
		}
		if y[4] != 1 {
			t.Errorf("exp(0) = %g", y[4])
		}
		for i := 6; i < 9; i++ {
			if !(y[i] > 1.6e38) || y[i] == inf {
				t.Errorf("exp(%g) = %g, want the largest finite result", x[i], y[i])
			}
		}
		if y[9] == y[9] {
			t.Errorf("exp(NaN) = %g", y[9])
		}
	})
}

func TestGELUFarOut(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		x := []float32{-1e4, -100, -20, 0, 20, 100, 1e4}
		y, d := make([]float32, 7), []float32{1, 1, 1, 1, 1, 1, 1}
		kernel.GELU(y, x)
		near(t, "gelu", y, 1e-6, func(i int) float64 { return math.Max(0, float64(x[i])) })
		kernel.GELUGrad(d, x, d)
		near(t, "gelu'", d, 1e-6, func(i int) float64 { return []float64{0, 0, 0, 0.5, 1, 1, 1}[i] })
	})
}

func TestSoftmaxRows(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, cols := range []int{1, 2, 15, 16, 17, 50, 1000} {
			const rows = 40
			x, dy := values(1, rows*cols, 30), values(2, rows*cols, 1)
			if cols > 2 {
				x[1], x[2*cols] = float32(math.Inf(-1)), float32(math.Inf(-1))
			}
			y, dx := make([]float32, rows*cols), make([]float32, rows*cols)
			for i := 0; i < len(x); i += cols {
				kernel.Softmax(y[i:][:cols], x[i:])
				kernel.SoftmaxGrad(dx[i:][:cols], y[i:], dy[i:])
			}
			want := softmaxExact(cols, x)
			near(t, "softmax", y, 1e-6, func(i int) float64 { return want[i] })
			if cols > 2 && y[1] != 0 {
				t.Errorf("masked element is %g", y[1])
			}
			near(t, "softmax gradient", dx, 2e-6, func(i int) float64 {
				r := i / cols * cols
				var sum float64
				for j := range cols {
					sum += want[r+j] * float64(dy[r+j])
				}
				return want[i] * (float64(dy[i]) - sum)
			})
			var sum float64
			for _, v := range x[cols : 2*cols] {
				sum += math.Exp(float64(v))
			}
			near(t, "log-sum-exp", []float32{kernel.LogSumExp(x[cols:2*cols], y)}, 1e-6, func(int) float64 { return math.Log(sum) })
		}
	})
}

func softmaxExact(cols int, x []float32) []float64 {
	y := make([]float64, len(x))
	for r := 0; r < len(x); r += cols {
		var sum float64
		m := float64(slices.Max(x[r : r+cols]))
		for j := r; j < r+cols; j++ {
			y[j] = math.Exp(float64(x[j]) - m)
			sum += y[j]
		}
		for j := r; j < r+cols; j++ {
			y[j] /= sum
		}
	}
	return y
}

func TestBiasAndSumOfRows(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		const rows, cols = 300, 37
		x, bias, sum := values(1, rows*cols, 1), values(2, cols, 1), values(3, cols, 1)
		y := slices.Clone(x)
		kernel.AddBias(rows, cols, bias, y)
		near(t, "bias", y, 1e-6, func(i int) float64 { return float64(x[i]) + float64(bias[i%cols]) })
		start := slices.Clone(sum)
		kernel.SumRows(rows, cols, x, sum)
		near(t, "sum of rows", sum, 1e-5, func(j int) float64 {
			w := float64(start[j])
			for i := range rows {
				w += float64(x[i*cols+j])
			}
			return w
		})
	})
}

// layerNormExact is the definition in float64.
func layerNormExact(cols int, eps float64, x, gain, bias []float64) []float64 {
	y := make([]float64, len(x))
	for r := 0; r < len(x); r += cols {
		var mean, variance float64
		for _, v := range x[r : r+cols] {
			mean += v / float64(cols)
		}
		for _, v := range x[r : r+cols] {
			variance += (v - mean) * (v - mean) / float64(cols)
		}
		for j := range cols {
			y[r+j] = (x[r+j]-mean)/math.Sqrt(variance+eps)*gain[j] + bias[j]
		}
	}
	return y
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func TestLayerNormAndItsGradients(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		for _, cols := range []int{2, 16, 21, 64} {
			const rows, eps = 3, 1e-5
			x, gain, bias, dy := values(1, rows*cols, 2), values(2, cols, 1), values(3, cols, 1), values(4, rows*cols, 1)
			y, mean, scale := make([]float32, rows*cols), make([]float32, rows), make([]float32, rows)
			kernel.LayerNorm(rows, cols, eps, x, gain, bias, y, mean, scale)
			want := layerNormExact(cols, eps, widen(x), widen(gain), widen(bias))
			near(t, "layer norm", y, 3e-6, func(i int) float64 { return want[i] })

			dx, dgain, dbias := slices.Clone(dy), make([]float32, cols), make([]float32, cols)
			kernel.LayerNormGrad(rows, cols, x, gain, mean, scale, dx, dx, dgain, dbias)
			x64, gain64, bias64 := widen(x), widen(gain), widen(bias)
			slope := func(p []float64) func(i int) float64 {
				return func(i int) float64 {
					const h = 1e-6
					old := p[i]
					var d float64
					for _, sign := range []float64{1, -1} {
						p[i] = old + sign*h
						for j, v := range layerNormExact(cols, eps, x64, gain64, bias64) {
							d += sign * v * float64(dy[j]) / (2 * h)
						}
					}
					p[i] = old
					return d
				}
			}
			near(t, "dx", dx, 1e-4, slope(x64))
			near(t, "dgain", dgain, 1e-5, slope(gain64))
			near(t, "dbias", dbias, 1e-5, slope(bias64))
		}
	})
}

func TestAdamWFollowsTheDefinition(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		const n, steps = 37, 20
		o := kernel.AdamW{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, Scale: 1}
		w, m, v := values(1, n, 1), make([]float32, n), make([]float32, n)
		w64, m64, v64 := widen(w), make([]float64, n), make([]float64, n)
		for step := 1; step <= steps; step++ {
			g := values(uint64(10+step), n, 1)
			o.Update(step, w, g, m, v)
			for i := range w64 {
				x := float64(g[i])
				w64[i] -= 1e-2 * 0.1 * w64[i]
				m64[i] = 0.9*m64[i] + 0.1*x
				v64[i] = 0.999*v64[i] + 0.001*x*x
				mh := m64[i] / (1 - math.Pow(0.9, float64(step)))
				vh := v64[i] / (1 - math.Pow(0.999, float64(step)))
				w64[i] -= 1e-2 * mh / (math.Sqrt(vh) + 1e-8)
			}
		}
		near(t, "weights", w, 3e-6, func(i int) float64 { return w64[i] })
	})
}

// An element's result must not depend on where it stands or on the number of threads.
func TestVectorBitsDoNotDependOnPositionOrThreads(t *testing.T) {
	kerneltest.Each(t, func(t *testing.T) {
		const n = 150000
		x, dy := values(1, n, 5), values(2, n, 1)
		for name, f := range map[string]func(dst, x, dy []float32){
			"exp":      func(dst, x, _ []float32) { kernel.Exp(dst, x) },
			"gelu":     func(dst, x, _ []float32) { kernel.GELU(dst, x) },
			"geluGrad": kernel.GELUGrad,
		} {
			whole, parts := make([]float32, n), make([]float32, n)
			f(whole, x, dy)
			old := runtime.GOMAXPROCS(1)
			for lo := 0; lo < n; lo += 777 {
				hi := min(lo+777, n)
				f(parts[lo:hi], x[lo:hi], dy[lo:hi])
			}
			runtime.GOMAXPROCS(old)
			if !sameBits(whole, parts) {
				t.Errorf("%s: bits differ", name)
			}
		}
	})
}
