package kernel

// Add computes y += x over the length of x, in the calling goroutine: for short vectors.
func Add(x, y []float32) {
	checkLen("y", len(y), len(x))
	axpy(1, x, y)
}

// AddScaled computes y += alpha*x over the length of x, in the calling goroutine.
func AddScaled(alpha float32, x, y []float32) {
	checkLen("y", len(y), len(x))
	axpy(alpha, x, y)
}

// Scale computes x *= alpha, and clears x if alpha is 0, whatever it held.
func Scale(alpha float32, x []float32) {
	if alpha == 0 {
		clear(x)
		return
	}
	s := newSweep(func(s *sweep, lo, hi int) { scale(s.x, s.a[lo:hi]) })
	s.a, s.x = x, alpha
	s.do(len(x), 1)
}

// Mul computes dst[i] = x[i]*y[i] over the length of dst. dst may be x or y.
func Mul(dst, x, y []float32) {
	checkLen("x", len(x), len(dst))
	checkLen("y", len(y), len(dst))
	s := newSweep(func(s *sweep, lo, hi int) { multiplyShifted(s.a[lo:hi], s.b[lo:hi], s.c[lo:hi], 0) })
	s.a, s.b, s.c = dst, x, y
	s.do(len(dst), 1)
}

// Sum is the sum of x.
func Sum(x []float32) float32 { return sum(x) }

// Dot is the sum of the products of x and the first len(x) elements of y.
func Dot(x, y []float32) float32 {
	checkLen("y", len(y), len(x))
	return dot(x, y)
}

// AddBias adds bias, of cols elements, to each of the rows of x.
func AddBias(rows, cols int, bias, x []float32) {
	checkLen("bias", len(bias), cols)
	checkLen("x", len(x), rows*cols)
	s := newSweep(func(s *sweep, lo, hi int) {
		for i := lo; i < hi; i++ {
			axpy(1, s.a, s.b[i*s.cols:(i+1)*s.cols])
		}
	})
	s.a, s.b, s.cols = bias[:cols], x, cols
	s.do(rows, cols)
}

// SumRows adds the sum of the rows of x, each of cols elements, to sum: the gradient of AddBias with respect to the bias.
func SumRows(rows, cols int, x, sum []float32) {
	checkLen("sum", len(sum), cols)
	checkLen("x", len(x), rows*cols)
	s := newSweep(func(s *sweep, lo, hi int) {
		for i := 0; i < len(s.a); i += s.cols {
			axpy(1, s.a[i+lo:i+hi], s.b[lo:hi])
		}
	})
	s.a, s.b, s.cols = x[:rows*cols], sum, cols
	s.do(cols, rows)
}
