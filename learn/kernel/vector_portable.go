package kernel

import "math"

// axpyPortable computes y += alpha*x.
func axpyPortable(alpha float32, x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += alpha * v
	}
}

// scalePortable computes x *= alpha.
func scalePortable(alpha float32, x []float32) {
	for i := range x {
		x[i] *= alpha
	}
}

// multiplyShiftedPortable computes dst = x * (y+shift).
func multiplyShiftedPortable(dst, x, y []float32, shift float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] * (y[i] + shift)
	}
}

// dotPortable is the sum of x*y.
func dotPortable(x, y []float32) float32 {
	y = y[:len(x)]
	var s0, s1, s2, s3 float32
	for len(x) >= 4 && len(y) >= 4 {
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		s0 += v * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// sumPortable is the sum of x.
func sumPortable(x []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(x) >= 4 {
		s0 += x[0]
		s1 += x[1]
		s2 += x[2]
		s3 += x[3]
		x = x[4:]
	}
	for _, v := range x {
		s0 += v
	}
	return (s0 + s1) + (s2 + s3)
}

// squaresPortable is the sum of (x-mean)^2.
func squaresPortable(x []float32, mean float32) float32 {
	var s0, s1 float32
	for len(x) >= 2 {
		s0 += (x[0] - mean) * (x[0] - mean)
		s1 += (x[1] - mean) * (x[1] - mean)
		x = x[2:]
	}
	for _, v := range x {
		s0 += (v - mean) * (v - mean)
	}
	return s0 + s1
}

// maximumPortable is the largest element of x, or -Inf. NaNs may go unnoticed.
func maximumPortable(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

// expShiftedPortable computes dst = exp(x-shift) and returns its sum.
func expShiftedPortable(dst, x []float32, shift float32) float32 {
	dst = dst[:len(x)]
	var sum float32
	for i, v := range x {
		e := exp(v - shift)
		dst[i] = e
		sum += e
	}
	return sum
}

// geluPortable computes dst = GELU(x).
func geluPortable(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = v / (1 + exp(v*(geluLinear+geluCubic*v*v)))
	}
}

// geluGradPortable computes dx = dy * GELU'(x).
func geluGradPortable(dx, x, dy []float32) {
	dx, dy = dx[:len(x)], dy[:len(x)]
	for i, v := range x {
		slope := v * (geluLinear + 3*geluCubic*v*v)
		e := exp(v * (geluLinear + geluCubic*v*v))
		sigmoid := 1 / (1 + e)
		// e*sigmoid is 1-sigmoid without cancellation.
		dx[i] = dy[i] * (sigmoid - sigmoid*(e*sigmoid)*slope)
	}
}

// geluSlopePortable computes y = GELU(x) and slope = GELU'(x).
func geluSlopePortable(y, slope, x []float32) {
	y, slope = y[:len(x)], slope[:len(x)]
	for i, v := range x {
		inner := v * (geluLinear + 3*geluCubic*v*v)
		e := exp(v * (geluLinear + geluCubic*v*v))
		sigmoid := 1 / (1 + e)
		y[i] = v * sigmoid
		slope[i] = sigmoid - sigmoid*(e*sigmoid)*inner
	}
}

// swigluPortable computes y = gate * sigmoid(gate) * up and its slopes.
func swigluPortable(y, gate, up, gateSlope, upSlope []float32) {
	gate, up, gateSlope, upSlope = gate[:len(y)], up[:len(y)], gateSlope[:len(y)], upSlope[:len(y)]
	for i, g := range gate {
		e := exp(-g)
		sigmoid := 1 / (1 + e)
		u := up[i]
		y[i] = g * sigmoid * u
		gateSlope[i] = u * sigmoid * (1 + g*(e*sigmoid))
		upSlope[i] = g * sigmoid
	}
}

// multiplyScaledPortable computes dst = x * y * scale.
func multiplyScaledPortable(dst, x, y []float32, scale float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] * scale * y[i]
	}
}

// dropoutPortable computes dst = x * mask, or dst += x * mask, for elements whose indices begin at first.
func dropoutPortable(dst, x []float32, first uint32, m *Mask, add bool) {
	x = x[:len(dst)]
	for i, v := range x {
		if m.dropped(first + uint32(i)) {
			v = 0
		} else {
			v *= m.keep
		}
		if add {
			v += dst[i]
		}
		dst[i] = v
	}
}

// normalisePortable computes y = (x-mean)*scale*gain + bias.
func normalisePortable(y, x, gain, bias []float32, mean, scale float32) {
	y, gain, bias = y[:len(x)], gain[:len(x)], bias[:len(x)]
	for j, v := range x {
		y[j] = (v-mean)*scale*gain[j] + bias[j]
	}
}

// normGradParamsPortable computes dgain += dy*(x-mean)*scale and dbias += dy.
func normGradParamsPortable(x, dy []float32, mean, scale float32, dgain, dbias []float32) {
	dy, dgain, dbias = dy[:len(x)], dgain[:len(x)], dbias[:len(x)]
	for j, v := range x {
		dgain[j] += dy[j] * (v - mean) * scale
		dbias[j] += dy[j]
	}
}

// normGradSumsPortable gives, with g = dy*gain and z = (x-mean)*scale, the sums of g and of g*z.
func normGradSumsPortable(x, dy, gain []float32, mean, scale float32) (sum, dotted float32) {
	dy, gain = dy[:len(x)], gain[:len(x)]
	for j, v := range x {
		g := dy[j] * gain[j]
		sum += g
		dotted += g * (v - mean) * scale
	}
	return sum, dotted
}

// normGradPortable computes dx = scale * (dy*gain - sum - (x-mean)*scale*dotted).
func normGradPortable(dx, x, dy, gain []float32, mean, scale, sum, dotted float32) {
	dx, dy, gain = dx[:len(x)], dy[:len(x)], gain[:len(x)]
	for j, v := range x {
		dx[j] = scale * (dy[j]*gain[j] - sum - (v-mean)*scale*dotted)
	}
}

// adamwPortable makes one step of AdamW.
func adamwPortable(s *adamStep, w, g, m, v []float32) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for i, x := range g {
		m[i] = s.beta1*m[i] + s.rest1*x
		v[i] = s.beta2*v[i] + s.rest2*x*x
		root := float32(math.Sqrt(float64(v[i])))
		w[i] = s.keep*w[i] - s.rate*m[i]/(root*s.correct2+s.eps)
	}
}
