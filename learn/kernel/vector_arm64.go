package kernel

import "math"

// The functions of vector_portable.go, on NEON's registers.

// rest holds what whole turns of 8 elements leave over of the slices of a call, and zeros.
type rest [5][8]float32

// take copies what is over, and gives how many elements are not, and where the rest is: nil if there is none.
func (r *rest) take(slices ...[]float32) (n int, at *float32) {
	n = len(slices[0]) &^ 7
	if n == len(slices[0]) {
		return n, nil
	}
	for i, s := range slices {
		copy(r[i][:], s[n:])
	}
	return n, &r[0][0]
}

// put brings the rest of slice i to where it belongs.
func (r *rest) put(i int, dst []float32) { copy(dst[len(dst)&^7:], r[i][:]) }

// fill sets what the rest of slice 0, of n elements in all, is filled up with.
func (r *rest) fill(n int, x float32) {
	for i := n & 7; i < 8; i++ {
		r[0][i] = x
	}
}

func axpy(alpha float32, x, y []float32) {
	if !vectorised(len(x)) {
		axpyPortable(alpha, x, y)
		return
	}
	y = y[:len(x)]
	var r rest
	n, at := r.take(x, y)
	axpyNEON(&x[0], &y[0], n, at, alpha)
	r.put(1, y)
}

func scale(alpha float32, x []float32) {
	if !vectorised(len(x)) {
		scalePortable(alpha, x)
		return
	}
	var r rest
	n, at := r.take(x)
	scaleNEON(&x[0], n, at, alpha)
	r.put(0, x)
}

func multiplyShifted(dst, x, y []float32, shift float32) {
	if !vectorised(len(dst)) {
		multiplyShiftedPortable(dst, x, y, shift)
		return
	}
	x, y = x[:len(dst)], y[:len(dst)]
	var r rest
	n, at := r.take(dst, x, y)
	multiplyNEON(&dst[0], &x[0], &y[0], n, at, shift)
	r.put(0, dst)
}

func multiplyScaled(dst, x, y []float32, scale float32) {
	if !vectorised(len(dst)) {
		multiplyScaledPortable(dst, x, y, scale)
		return
	}
	x, y = x[:len(dst)], y[:len(dst)]
	var r rest
	n, at := r.take(dst, x, y)
	multiplyScaledNEON(&dst[0], &x[0], &y[0], n, at, scale)
	r.put(0, dst)
}

func dot(x, y []float32) float32 {
	if !vectorised(len(x)) {
		return dotPortable(x, y)
	}
	y = y[:len(x)]
	var r rest
	n, at := r.take(x, y)
	return dotNEON(&x[0], &y[0], n, at)
}

func sum(x []float32) float32 {
	if !vectorised(len(x)) {
		return sumPortable(x)
	}
	var r rest
	n, at := r.take(x)
	return sumNEON(&x[0], n, at)
}

func squares(x []float32, mean float32) float32 {
	if !vectorised(len(x)) {
		return squaresPortable(x, mean)
	}
	var r rest
	n, at := r.take(x)
	r.fill(len(x), mean)
	return squaresNEON(&x[0], n, at, mean)
}

func maximum(x []float32) float32 {
	if !vectorised(len(x)) {
		return maximumPortable(x)
	}
	var r rest
	n, at := r.take(x)
	r.fill(len(x), float32(math.Inf(-1)))
	return maximumNEON(&x[0], n, at)
}

func expShifted(dst, x []float32, shift float32) float32 {
	if !vectorised(len(x)) {
		return expShiftedPortable(dst, x, shift)
	}
	dst = dst[:len(x)]
	var r rest
	n, at := r.take(dst, x)
	for i := len(x) & 7; i < 8; i++ {
		r[1][i] = float32(math.Inf(-1)) // adds nothing
	}
	sum := expNEON(&dst[0], &x[0], n, at, shift)
	r.put(0, dst)
	return sum
}

func gelu(dst, x []float32) {
	if !vectorised(len(x)) {
		geluPortable(dst, x)
		return
	}
	dst = dst[:len(x)]
	var r rest
	n, at := r.take(dst, x)
	geluNEON(&dst[0], &x[0], n, at)
	r.put(0, dst)
}

func geluGrad(dx, x, dy []float32) {
	if !vectorised(len(x)) {
		geluGradPortable(dx, x, dy)
		return
	}
	dx, dy = dx[:len(x)], dy[:len(x)]
	var r rest
	n, at := r.take(dx, x, dy)
	geluGradNEON(&dx[0], &x[0], &dy[0], n, at)
	r.put(0, dx)
}

func geluSlope(y, slope, x []float32) {
	if !vectorised(len(x)) {
		geluSlopePortable(y, slope, x)
		return
	}
	y, slope = y[:len(x)], slope[:len(x)]
	var r rest
	n, at := r.take(y, slope, x)
	geluSlopeNEON(&y[0], &slope[0], &x[0], n, at)
	r.put(0, y)
	r.put(1, slope)
}

func swiglu(y, gate, up, gateSlope, upSlope []float32) {
	if !vectorised(len(y)) {
		swigluPortable(y, gate, up, gateSlope, upSlope)
		return
	}
	gate, up, gateSlope, upSlope = gate[:len(y)], up[:len(y)], gateSlope[:len(y)], upSlope[:len(y)]
	var r rest
	n, at := r.take(y, gate, up, gateSlope, upSlope)
	swigluNEON(&y[0], &gate[0], &up[0], &gateSlope[0], &upSlope[0], n, at)
	r.put(0, y)
	r.put(3, gateSlope)
	r.put(4, upSlope)
}

func dropout(dst, x []float32, first uint32, m *Mask) {
	if !vectorised(len(dst)) {
		dropoutPortable(dst, x, first, m, false)
		return
	}
	x = x[:len(dst)]
	var r rest
	n, at := r.take(dst, x)
	dropoutNEON(&dst[0], &x[0], n, at, first, m.key0, m.key1, m.limit, m.keep)
	r.put(0, dst)
}

func dropoutAdd(dst, x []float32, first uint32, m *Mask) {
	if !vectorised(len(dst)) {
		dropoutPortable(dst, x, first, m, true)
		return
	}
	x = x[:len(dst)]
	var r rest
	n, at := r.take(dst, x)
	dropoutAddNEON(&dst[0], &x[0], n, at, first, m.key0, m.key1, m.limit, m.keep)
	r.put(0, dst)
}

func normalise(y, x, gain, bias []float32, mean, scale float32) {
	if !vectorised(len(x)) {
		normalisePortable(y, x, gain, bias, mean, scale)
		return
	}
	y, gain, bias = y[:len(x)], gain[:len(x)], bias[:len(x)]
	var r rest
	n, at := r.take(y, x, gain, bias)
	normaliseNEON(&y[0], &x[0], &gain[0], &bias[0], n, at, mean, scale)
	r.put(0, y)
}

func normGradParams(x, dy []float32, mean, scale float32, dgain, dbias []float32) {
	if !vectorised(len(x)) {
		normGradParamsPortable(x, dy, mean, scale, dgain, dbias)
		return
	}
	dy, dgain, dbias = dy[:len(x)], dgain[:len(x)], dbias[:len(x)]
	var r rest
	n, at := r.take(x, dy, dgain, dbias)
	normGradParamsNEON(&x[0], &dy[0], &dgain[0], &dbias[0], n, at, mean, scale)
	r.put(2, dgain)
	r.put(3, dbias)
}

func normGradSums(x, dy, gain []float32, mean, scale float32) (sum, dotted float32) {
	if !vectorised(len(x)) {
		return normGradSumsPortable(x, dy, gain, mean, scale)
	}
	dy, gain = dy[:len(x)], gain[:len(x)]
	var r rest
	n, at := r.take(x, dy, gain)
	return normGradSumsNEON(&x[0], &dy[0], &gain[0], n, at, mean, scale)
}

func normGrad(dx, x, dy, gain []float32, mean, scale, sum, dotted float32) {
	if !vectorised(len(x)) {
		normGradPortable(dx, x, dy, gain, mean, scale, sum, dotted)
		return
	}
	dx, dy, gain = dx[:len(x)], dy[:len(x)], gain[:len(x)]
	var r rest
	n, at := r.take(dx, x, dy, gain)
	normGradNEON(&dx[0], &x[0], &dy[0], &gain[0], n, at, mean, scale, sum, dotted)
	r.put(0, dx)
}

func adamw(s *adamStep, w, g, m, v []float32) {
	if !vectorised(len(w)) {
		adamwPortable(s, w, g, m, v)
		return
	}
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	var r rest
	n, at := r.take(w, g, m, v)
	adamwNEON(&w[0], &g[0], &m[0], &v[0], n, at, &s.beta1)
	r.put(0, w)
	r.put(2, m)
	r.put(3, v)
}
