package kernel

import "math"

// LayerNorm normalises each row of x, of cols elements, to mean 0 and variance 1, and computes
// y = (x - mean) / sqrt(variance + eps) * gain + bias. It keeps the mean and 1/sqrt(variance + eps) of each row for LayerNormGrad. y may be x
// if no gradient is needed.
func LayerNorm(rows, cols int, eps float32, x, gain, bias, y, mean, scale []float32) {
	checkLen("x", len(x), rows*cols)
	checkLen("y", len(y), rows*cols)
	checkLen("gain", len(gain), cols)
	checkLen("bias", len(bias), cols)
	checkLen("mean", len(mean), rows)
	checkLen("scale", len(scale), rows)
	s := newSweep(func(s *sweep, lo, hi int) {
		for i := lo; i < hi; i++ {
			x, y := s.a[i*s.cols:(i+1)*s.cols], s.d[i*s.cols:(i+1)*s.cols]
			s.e[i], s.f[i] = moments(x, s.x)
			normalise(y, x, s.b, s.c, s.e[i], s.f[i])
		}
	})
	s.a, s.b, s.c, s.d, s.e, s.f = x, gain[:cols], bias[:cols], y, mean, scale
	s.cols, s.x = cols, eps
	s.do(rows, cols)
}

// moments gives the mean of x and 1/sqrt(variance + eps).
func moments(x []float32, eps float32) (mean, scale float32) {
	n := float32(len(x))
	mean = sum(x) / n
	return mean, float32(1 / math.Sqrt(float64(squares(x, mean)/n+eps)))
}

// LayerNormGrad computes the gradients of LayerNorm: it sets dx, and adds to dgain and dbias. mean and scale are those that LayerNorm
// kept. dx may be dy; any of dx or the pair dgain, dbias may be nil if it is not needed.
func LayerNormGrad(rows, cols int, x, gain, mean, scale, dy, dx, dgain, dbias []float32) {
	checkLen("x", len(x), rows*cols)
	checkLen("dy", len(dy), rows*cols)
	checkLen("mean", len(mean), rows)
	checkLen("scale", len(scale), rows)
	// Parameters first: dx may overwrite dy.
	if dgain != nil {
		checkLen("dgain", len(dgain), cols)
		checkLen("dbias", len(dbias), cols)
		s := newSweep(func(s *sweep, lo, hi int) {
			for i, m := range s.c {
				row := i * s.cols
				normGradParams(s.a[row+lo:row+hi], s.b[row+lo:row+hi], m, s.d[i], s.e[lo:hi], s.f[lo:hi])
			}
		})
		s.a, s.b, s.c, s.d, s.e, s.f = x, dy, mean[:rows], scale, dgain, dbias
		s.cols = cols
		s.do(cols, rows)
	}
	if dx == nil {
		return
	}
	checkLen("dx", len(dx), rows*cols)
	checkLen("gain", len(gain), cols)
	s := newSweep(func(s *sweep, lo, hi int) {
		for i := lo; i < hi; i++ {
			a, b := i*s.cols, (i+1)*s.cols
			normGradRow(s.a[a:b], s.b[a:b], s.c[a:b], s.d, s.e[i], s.f[i])
		}
	})
	s.a, s.b, s.c, s.d, s.e, s.f = dx, x, dy, gain[:cols], mean, scale
	s.cols = cols
	s.do(rows, cols)
}

// normGradRow is, with z the normalised row and g = dy*gain, dx = scale * (g - mean(g) - z*mean(g*z)).
func normGradRow(dx, x, dy, gain []float32, mean, scale float32) {
	sum, dotted := normGradSums(x, dy, gain, mean, scale)
	n := float32(len(x))
	normGrad(dx, x, dy, gain, mean, scale, sum/n, dotted/n)
}
