package kernel

// The tanh form of GELU (Hendrycks and Gimpel, arXiv 1606.08415; "gelu_new" of GPT-2) is
// x/2 * (1 + tanh(u)) with u = sqrt(2/pi) * (x + 0.044715 x^3), which equals x / (1 + exp(-2u)).
const (
	geluLinear = -2 * 0.7978845608028654 // of -2u
	geluCubic  = geluLinear * 0.044715
)

// GELU computes the tanh form of GELU of every element of x. dst may be x.
func GELU(dst, x []float32) {
	checkLen("dst", len(dst), len(x))
	s := newSweep(func(s *sweep, lo, hi int) { gelu(s.a[lo:hi], s.b[lo:hi]) })
	s.a, s.b = dst, x
	s.do(len(x), 1)
}

// GELUGrad computes dx[i] = dy[i] * GELU'(x[i]). dx may be dy or x.
func GELUGrad(dx, x, dy []float32) {
	checkLen("dx", len(dx), len(x))
	checkLen("dy", len(dy), len(x))
	s := newSweep(func(s *sweep, lo, hi int) { geluGrad(s.a[lo:hi], s.b[lo:hi], s.c[lo:hi]) })
	s.a, s.b, s.c = dx, x, dy
	s.do(len(x), 1)
}

// GELUSlope computes y[i] = GELU(x[i]) and slope[i] = GELU'(x[i]), so that the gradient costs one product. y or slope may be x.
func GELUSlope(y, slope, x []float32) {
	checkLen("y", len(y), len(x))
	checkLen("slope", len(slope), len(x))
	s := newSweep(func(s *sweep, lo, hi int) { geluSlope(s.a[lo:hi], s.b[lo:hi], s.c[lo:hi]) })
	s.a, s.b, s.c = y, slope, x
	s.do(len(x), 1)
}
