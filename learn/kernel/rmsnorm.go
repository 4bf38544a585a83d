package kernel

import "math"

// RMSNorm computes y = x / sqrt(mean(x^2) + eps) * gain in each row of x, of cols elements, and keeps the factor of each row for
// RMSNormGrad. y may be x if no gradient is needed.
func RMSNorm(rows, cols int, eps float64, x, gain, y, scale []float32) {
	checkLen("x", len(x), rows*cols)
	checkLen("y", len(y), rows*cols)
	checkLen("gain", len(gain), cols)
	checkLen("scale", len(scale), rows)
	s := newSweep(func(s *sweep, lo, hi int) {
		for i := lo; i < hi; i++ {
			x, y := s.a[i*s.cols:(i+1)*s.cols], s.c[i*s.cols:(i+1)*s.cols]
			s.d[i] = float32(1 / math.Sqrt(float64(dot(x, x))/float64(s.cols)+s.eps))
			multiplyScaled(y, x, s.b, s.d[i])
		}
	})
	s.a, s.b, s.c, s.d = x, gain[:cols], y, scale
	s.cols, s.eps = cols, eps
	s.do(rows, cols)
}

// RMSNormGrad computes the gradients of RMSNorm: it sets dx, and adds to dgain. scale is what RMSNorm kept. dx may be dy; either
// may be nil if it is not needed.
func RMSNormGrad(rows, cols int, x, gain, scale, dy, dx, dgain []float32) {
	checkLen("x", len(x), rows*cols)
	checkLen("dy", len(dy), rows*cols)
	checkLen("scale", len(scale), rows)
	if dgain != nil { // first: dx may overwrite dy
		checkLen("dgain", len(dgain), cols)
		for i, f := range scale[:rows] {
			x, dy := x[i*cols:][:cols], dy[i*cols:][:cols]
			for j, g := range dy {
				dgain[j] += g * x[j] * f
			}
		}
	}
	if dx == nil {
		return
	}
	checkLen("dx", len(dx), rows*cols)
	checkLen("gain", len(gain), cols)
	s := newSweep(func(s *sweep, lo, hi int) {
		for i := lo; i < hi; i++ {
			dx, x, dy := s.a[i*s.cols:(i+1)*s.cols], s.b[i*s.cols:(i+1)*s.cols], s.c[i*s.cols:(i+1)*s.cols]
			// The gradient of a layer norm whose mean is held at 0.
			_, dotted := normGradSums(x, dy, s.d, 0, s.e[i])
			normGrad(dx, x, dy, s.d, 0, s.e[i], 0, dotted/float32(s.cols))
		}
	})
	s.a, s.b, s.c, s.d, s.e = dx, x, dy, gain[:cols], scale
	s.cols = cols
	s.do(rows, cols)
}
