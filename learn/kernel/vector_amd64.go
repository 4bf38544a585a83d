package kernel

// The functions of vector_portable.go, on the processor's vector registers where it has them.

func axpy(alpha float32, x, y []float32) {
	if n := len(x); vectorised(n) {
		y = y[:n]
		axpyAVX2(alpha, &x[0], &y[0], n)
		return
	}
	axpyPortable(alpha, x, y)
}

func scale(alpha float32, x []float32) {
	if n := len(x); vectorised(n) {
		scaleAVX2(alpha, &x[0], n)
		return
	}
	scalePortable(alpha, x)
}

func multiplyShifted(dst, x, y []float32, shift float32) {
	if n := len(dst); vectorised(n) {
		x, y = x[:n], y[:n]
		multiplyAVX2(&dst[0], &x[0], &y[0], n, shift)
		return
	}
	multiplyShiftedPortable(dst, x, y, shift)
}

func dot(x, y []float32) float32 {
	if n := len(x); vectorised(n) {
		y = y[:n]
		return dotAVX2(&x[0], &y[0], n)
	}
	return dotPortable(x, y)
}

func sum(x []float32) float32 {
	if n := len(x); vectorised(n) {
		return sumAVX2(&x[0], n)
	}
	return sumPortable(x)
}

func squares(x []float32, mean float32) float32 {
	if n := len(x); vectorised(n) {
		return squaresAVX2(&x[0], n, mean)
	}
	return squaresPortable(x, mean)
}

func maximum(x []float32) float32 {
	if n := len(x); vectorised(n) {
		return maximumAVX2(&x[0], n)
	}
	return maximumPortable(x)
}

func expShifted(dst, x []float32, shift float32) float32 {
	if n := len(x); vectorised(n) {
		dst = dst[:n]
		return expAVX2(&dst[0], &x[0], n, shift)
	}
	return expShiftedPortable(dst, x, shift)
}

func gelu(dst, x []float32) {
	if n := len(x); vectorised(n) {
		dst = dst[:n]
		geluAVX2(&dst[0], &x[0], n)
		return
	}
	geluPortable(dst, x)
}

func geluGrad(dx, x, dy []float32) {
	if n := len(x); vectorised(n) {
		dx, dy = dx[:n], dy[:n]
		geluGradAVX2(&dx[0], &x[0], &dy[0], n)
		return
	}
	geluGradPortable(dx, x, dy)
}

func geluSlope(y, slope, x []float32) {
	if n := len(x); vectorised(n) {
		y, slope = y[:n], slope[:n]
		geluSlopeAVX2(&y[0], &slope[0], &x[0], n)
		return
	}
	geluSlopePortable(y, slope, x)
}

func swiglu(y, gate, up, gateSlope, upSlope []float32) {
	if n := len(y); vectorised(n) {
		gate, up, gateSlope, upSlope = gate[:n], up[:n], gateSlope[:n], upSlope[:n]
		swigluAVX2(&y[0], &gate[0], &up[0], &gateSlope[0], &upSlope[0], n)
		return
	}
	swigluPortable(y, gate, up, gateSlope, upSlope)
}

func multiplyScaled(dst, x, y []float32, scale float32) {
	if n := len(dst); vectorised(n) {
		x, y = x[:n], y[:n]
		multiplyScaledAVX2(&dst[0], &x[0], &y[0], n, scale)
		return
	}
	multiplyScaledPortable(dst, x, y, scale)
}

func dropout(dst, x []float32, first uint32, m *Mask) {
	if n := len(dst); vectorised(n) {
		x = x[:n]
		dropoutAVX2(&dst[0], &x[0], n, first, m.key0, m.key1, m.limit, m.keep)
		return
	}
	dropoutPortable(dst, x, first, m, false)
}

func dropoutAdd(dst, x []float32, first uint32, m *Mask) {
	if n := len(dst); vectorised(n) {
		x = x[:n]
		dropoutAddAVX2(&dst[0], &x[0], n, first, m.key0, m.key1, m.limit, m.keep)
		return
	}
	dropoutPortable(dst, x, first, m, true)
}

func normalise(y, x, gain, bias []float32, mean, scale float32) {
	if n := len(x); vectorised(n) {
		y, gain, bias = y[:n], gain[:n], bias[:n]
		normaliseAVX2(&y[0], &x[0], &gain[0], &bias[0], n, mean, scale)
		return
	}
	normalisePortable(y, x, gain, bias, mean, scale)
}

func normGradParams(x, dy []float32, mean, scale float32, dgain, dbias []float32) {
	if n := len(x); vectorised(n) {
		dy, dgain, dbias = dy[:n], dgain[:n], dbias[:n]
		normGradParamsAVX2(&x[0], &dy[0], &dgain[0], &dbias[0], n, mean, scale)
		return
	}
	normGradParamsPortable(x, dy, mean, scale, dgain, dbias)
}

func normGradSums(x, dy, gain []float32, mean, scale float32) (sum, dotted float32) {
	if n := len(x); vectorised(n) {
		dy, gain = dy[:n], gain[:n]
		return normGradSumsAVX2(&x[0], &dy[0], &gain[0], n, mean, scale)
	}
	return normGradSumsPortable(x, dy, gain, mean, scale)
}

func normGrad(dx, x, dy, gain []float32, mean, scale, sum, dotted float32) {
	if n := len(x); vectorised(n) {
		dx, dy, gain = dx[:n], dy[:n], gain[:n]
		normGradAVX2(&dx[0], &x[0], &dy[0], &gain[0], n, mean, scale, sum, dotted)
		return
	}
	normGradPortable(dx, x, dy, gain, mean, scale, sum, dotted)
}

func adamw(s *adamStep, w, g, m, v []float32) {
	if n := len(w); vectorised(n) {
		g, m, v = g[:n], m[:n], v[:n]
		adamwAVX2(&s.beta1, &w[0], &g[0], &m[0], &v[0], n)
		return
	}
	adamwPortable(s, w, g, m, v)
}
