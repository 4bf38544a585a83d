package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// writeVectors writes the vector functions with AVX2 and FMA. Wider registers would gain little: the time goes to memory
// and to divisions, and some processors do 512-bit operations in halves.
func writeVectors(ctx *build.Context) {
	v := &vectors{Context: ctx, masks: maskTable(ctx, "vectorMasks", 8), constants: map[uint32]operand.Mem{}}
	v.linear()
	v.reductions()
	v.activations()
	v.dropout()
	v.norm()
	v.adamw()
}

func (v *vectors) linear() {
	v.function("axpyAVX2", "func(alpha float32, x, y *float32, n int)", "axpyAVX2 computes y += alpha*x.")
	alpha := v.argument("alpha")
	v.sweep([]string{"x", "y"}, func(s step) {
		y := s.load(1)
		v.VFMADD231PS(s.load(0), alpha, y)
		s.store(y, 1)
	})
	v.finish()

	v.function("scaleAVX2", "func(alpha float32, x *float32, n int)", "scaleAVX2 computes x *= alpha.")
	alpha = v.argument("alpha")
	v.sweep([]string{"x"}, func(s step) {
		x := s.load(0)
		v.VMULPS(alpha, x, x)
		s.store(x, 0)
	})
	v.finish()

	v.function("multiplyAVX2", "func(dst, x, y *float32, n int, shift float32)", "multiplyAVX2 computes dst = x * (y+shift).")
	shift := v.argument("shift")
	v.sweep([]string{"dst", "x", "y"}, func(s step) {
		y := s.load(2)
		v.VADDPS(shift, y, y)
		v.VMULPS(s.load(1), y, y)
		s.store(y, 0)
	})
	v.finish()

	v.function("multiplyScaledAVX2", "func(dst, x, y *float32, n int, scale float32)", "multiplyScaledAVX2 computes dst = x * y * scale.")
	scale := v.argument("scale")
	v.sweep([]string{"dst", "x", "y"}, func(s step) {
		x := s.load(1)
		v.VMULPS(scale, x, x)
		v.VMULPS(s.load(2), x, x)
		s.store(x, 0)
	})
	v.finish()
}

func (v *vectors) reductions() {
	v.function("dotAVX2", "func(x, y *float32, n int) (sum float32)", "dotAVX2 is the sum of x*y.")
	sum := v.zero()
	v.sweep([]string{"x", "y"}, func(s step) { v.VFMADD231PS(s.load(0), s.load(1), sum) })
	v.reduce(sum, v.VADDPS, "sum")
	v.finish()

	v.function("sumAVX2", "func(x *float32, n int) (sum float32)", "sumAVX2 is the sum of x.")
	sum = v.zero()
	v.sweep([]string{"x"}, func(s step) { v.VADDPS(s.load(0), sum, sum) })
	v.reduce(sum, v.VADDPS, "sum")
	v.finish()

	v.function("squaresAVX2", "func(x *float32, n int, mean float32) (sum float32)", "squaresAVX2 is the sum of (x-mean)^2.")
	sum = v.zero()
	mean := v.argument("mean")
	v.sweep([]string{"x"}, func(s step) {
		x := s.load(0)
		v.VSUBPS(mean, x, x)
		s.used(x)
		v.VFMADD231PS(x, x, sum)
	})
	v.reduce(sum, v.VADDPS, "sum")
	v.finish()

	v.function("maximumAVX2", "func(x *float32, n int) (largest float32)", "maximumAVX2 is the largest element of x.")
	none := v.YMM()
	v.VMOVUPS(v.all(math.Inf(-1)), none)
	largest := v.copyOf(none)
	v.sweep([]string{"x"}, func(s step) {
		x := s.load(0)
		if s.part {
			v.VBLENDVPS(s.mask, x, none, x)
		}
		v.VMAXPS(x, largest, largest)
	})
	v.reduce(largest, v.VMAXPS, "largest")
	v.finish()
}

func (v *vectors) activations() {
	v.function("expAVX2", "func(dst, x *float32, n int, shift float32) (sum float32)", "expAVX2 computes dst = exp(x-shift) and returns its sum.")
	sum, shift := v.zero(), v.argument("shift")
	v.sweep([]string{"dst", "x"}, func(s step) {
		x := s.load(1)
		v.VSUBPS(shift, x, x)
		e := v.exp(x)
		s.store(e, 0)
		v.VADDPS(s.used(e), sum, sum)
	})
	v.reduce(sum, v.VADDPS, "sum")
	v.finish()

	v.function("geluAVX2", "func(dst, x *float32, n int)", "geluAVX2 computes dst = GELU(x).")
	v.sweep([]string{"dst", "x"}, func(s step) {
		x := s.load(1)
		square := v.YMM()
		v.VMULPS(x, x, square)
		e := v.exp(v.geluTerm(x, square, geluCubic))
		v.VADDPS(v.all(1), e, e)
		v.VDIVPS(e, x, x)
		s.store(x, 0)
	})
	v.finish()

	v.function("geluGradAVX2", "func(dx, x, dy *float32, n int)", "geluGradAVX2 computes dx = dy * GELU'(x).")
	v.sweep([]string{"dx", "x", "dy"}, func(s step) {
		_, slope := v.geluSlope(s.load(1))
		v.VMULPS(s.load(2), slope, slope)
		s.store(slope, 0)
	})
	v.finish()

	v.function("geluSlopeAVX2", "func(y, slope, x *float32, n int)", "geluSlopeAVX2 computes y = GELU(x) and slope = GELU'(x).")
	v.sweep([]string{"y", "slope", "x"}, func(s step) {
		x := s.load(2)
		sigmoid, slope := v.geluSlope(x)
		v.VMULPS(x, sigmoid, sigmoid)
		s.store(sigmoid, 0)
		s.store(slope, 1)
	})
	v.finish()

	v.function("swigluAVX2", "func(y, gate, up, gateSlope, upSlope *float32, n int)", "swigluAVX2 computes y = gate * sigmoid(gate) * up and its slopes.")
	v.sweep([]string{"y", "gate", "up", "gateSlope", "upSlope"}, func(s step) {
		gate, up := s.load(1), s.load(2)
		negative := v.zero()
		v.VSUBPS(gate, negative, negative)
		e := v.exp(negative)
		sigmoid, rest := v.YMM(), v.YMM()
		v.VMOVUPS(v.all(1), sigmoid)
		v.VADDPS(e, sigmoid, rest)
		v.VDIVPS(rest, sigmoid, sigmoid)
		// up * sigmoid * (1 + gate*(e*sigmoid))
		v.VMULPS(e, sigmoid, e)
		v.VMOVUPS(v.all(1), rest)
		v.VFMADD231PS(e, gate, rest)
		v.VMULPS(sigmoid, rest, rest)
		v.VMULPS(up, rest, rest)
		v.VMULPS(gate, sigmoid, sigmoid)
		v.VMULPS(sigmoid, up, up)
		s.store(up, 0)
		s.store(rest, 3)
		s.store(sigmoid, 4)
	})
	v.finish()
}

// geluSlope gives 1/(1+e), where GELU(x) is x/(1+e), and GELU'(x).
func (v *vectors) geluSlope(x reg.VecVirtual) (sigmoid, slope reg.VecVirtual) {
	square := v.YMM()
	v.VMULPS(x, x, square)
	inner := v.geluTerm(x, square, 3*geluCubic)
	e := v.exp(v.geluTerm(x, square, geluCubic))
	sigmoid = v.YMM()
	v.VMOVUPS(v.all(1), sigmoid)
	rest := v.YMM()
	v.VADDPS(e, sigmoid, rest)
	v.VDIVPS(rest, sigmoid, sigmoid)
	// sigmoid - sigmoid*(e*sigmoid)*inner
	slope = v.copyOf(sigmoid)
	v.VMULPS(sigmoid, e, rest)
	v.VMULPS(sigmoid, rest, rest)
	v.VFNMADD231PS(inner, rest, slope)
	return sigmoid, slope
}

// dropout writes the two forms of dropout. The mask is a hash of an element's index, see dropoutPortable.
func (v *vectors) dropout() {
	lanes := words(v.Context, "laneNumbers", 0, 1, 2, 3, 4, 5, 6, 7)
	for _, f := range []struct{ name, signature, doc string }{
		{"dropoutAVX2", "func(dst, x *float32, n int, first, key0, key1, limit uint32, keep float32)", "dropoutAVX2 computes dst = x * mask."},
		{"dropoutAddAVX2", "func(dst, x *float32, n int, first, key0, key1, limit uint32, keep float32)", "dropoutAddAVX2 computes dst += x * mask."},
	} {
		v.function(f.name, f.signature, f.doc)
		state, key1, limit, keep := v.argument("first"), v.argument("key1"), v.argument("limit"), v.argument("keep")
		v.VPADDD(lanes, state, state)
		v.VPMULLD(v.allBits(dropoutStride), state, state)
		v.VPADDD(v.argument("key0"), state, state)
		v.sweep([]string{"dst", "x"}, func(s step) {
			h := v.hash(state, key1)
			v.VPADDD(v.allBits(8*dropoutStride&math.MaxUint32), state, state)
			v.VPCMPGTD(h, limit, h) // dropped
			x := s.load(1)
			v.VMULPS(keep, x, x)
			v.VANDNPS(x, h, x)
			if f.name == "dropoutAddAVX2" {
				v.VADDPS(s.load(0), x, x)
			}
			s.store(x, 0)
		})
		v.finish()
	}
}

// The constants of package kernel's Go form.
const (
	dropoutStride = 0x9e3779b9
	dropoutFirst  = 0x21f0aaad
	dropoutSecond = 0x735a2d97
)

// hash gives 24 bits that seem random.
func (v *vectors) hash(state, key reg.VecVirtual) reg.VecVirtual {
	h, t := v.YMM(), v.YMM()
	v.VPSRLD(operand.Imm(16), state, h)
	v.VPXOR(state, h, h)
	v.VPMULLD(v.allBits(dropoutFirst), h, h)
	v.VPXOR(key, h, h)
	v.VPSRLD(operand.Imm(15), h, t)
	v.VPXOR(t, h, h)
	v.VPMULLD(v.allBits(dropoutSecond), h, h)
	v.VPSRLD(operand.Imm(15), h, t)
	v.VPXOR(t, h, h)
	v.VPSRLD(operand.Imm(8), h, h)
	return h
}

// The constants of package kernel's Go form.
const (
	geluLinear = -2 * 0.7978845608028654
	geluCubic  = geluLinear * 0.044715
	expMin     = -87.33654
	expMax     = 88.02969
)

// ln 2 in two parts, of which the first times a small integer is exact.
const (
	ln2High = 0.693359375
	ln2Low  = -2.12194440e-4
)

// expPolynomial is that of Cephes' expf: e**r = 1 + r + r^2 * polynomial(r) for |r| <= ln(2)/2.
var expPolynomial = []float64{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1}

// geluTerm is x * (geluLinear + cubic*x^2).
func (v *vectors) geluTerm(x, square reg.VecVirtual, cubic float64) reg.VecVirtual {
	t := v.YMM()
	v.VMOVUPS(v.all(cubic), t)
	v.VFMADD213PS(v.all(geluLinear), square, t)
	v.VMULPS(x, t, t)
	return t
}

// exp is e**x as 2**n * e**r. x is used up.
func (v *vectors) exp(x reg.VecVirtual) reg.VecVirtual {
	normal, n, r, p := v.YMM(), v.YMM(), v.YMM(), v.YMM()
	const notLess = 5 // true for NaN
	v.VCMPPS(operand.Imm(notLess), v.all(expMin), x, normal)
	v.VMOVUPS(v.all(expMax), r)
	v.VMINPS(x, r, x) // this order keeps a NaN
	v.VMULPS(v.all(math.Log2E), x, n)
	v.VROUNDPS(operand.Imm(0), n, n)
	v.VMOVAPS(x, r)
	v.VFNMADD231PS(v.all(ln2High), n, r)
	v.VFNMADD231PS(v.all(ln2Low), n, r)
	v.VMOVUPS(v.all(expPolynomial[0]), p)
	for _, c := range expPolynomial[1:] {
		v.VFMADD213PS(v.all(c), r, p)
	}
	square := v.YMM()
	v.VMULPS(r, r, square)
	v.VFMADD213PS(r, square, p)
	v.VADDPS(v.all(1), p, p)
	v.VCVTPS2DQ(n, n)
	v.VPADDD(v.allBits(127), n, n)
	v.VPSLLD(operand.Imm(23), n, n)
	v.VMULPS(n, p, p)
	v.VANDPS(normal, p, p)
	return p
}

func (v *vectors) norm() {
	v.function("normaliseAVX2", "func(y, x, gain, bias *float32, n int, mean, scale float32)", "normaliseAVX2 computes y = (x-mean)*scale*gain + bias.")
	mean, scale := v.argument("mean"), v.argument("scale")
	v.sweep([]string{"y", "x", "gain", "bias"}, func(s step) {
		x := s.load(1)
		v.VSUBPS(mean, x, x)
		v.VMULPS(scale, x, x)
		y := s.load(3)
		v.VFMADD231PS(s.load(2), x, y)
		s.store(y, 0)
	})
	v.finish()

	v.function("normGradParamsAVX2", "func(x, dy, dgain, dbias *float32, n int, mean, scale float32)",
		"normGradParamsAVX2 computes dgain += dy*(x-mean)*scale and dbias += dy.")
	mean, scale = v.argument("mean"), v.argument("scale")
	v.sweep([]string{"x", "dy", "dgain", "dbias"}, func(s step) {
		x, dy := s.load(0), s.load(1)
		v.VSUBPS(mean, x, x)
		v.VMULPS(scale, x, x)
		dgain, dbias := s.load(2), s.load(3)
		v.VFMADD231PS(x, dy, dgain)
		v.VADDPS(dy, dbias, dbias)
		s.store(dgain, 2)
		s.store(dbias, 3)
	})
	v.finish()

	v.function("normGradSumsAVX2", "func(x, dy, gain *float32, n int, mean, scale float32) (sum, dotted float32)",
		"normGradSumsAVX2 gives, with g = dy*gain and z = (x-mean)*scale, the sums of g and of g*z.")
	mean, scale = v.argument("mean"), v.argument("scale")
	sum, dotted := v.zero(), v.zero()
	v.sweep([]string{"x", "dy", "gain"}, func(s step) {
		x, g := s.load(0), s.load(1)
		v.VSUBPS(mean, x, x)
		v.VMULPS(scale, x, x)
		v.VMULPS(s.load(2), g, g)
		v.VADDPS(g, sum, sum)
		// Unused lanes of g are 0.
		v.VFMADD231PS(x, g, dotted)
	})
	v.reduce(sum, v.VADDPS, "sum")
	v.reduce(dotted, v.VADDPS, "dotted")
	v.finish()

	v.function("normGradAVX2", "func(dx, x, dy, gain *float32, n int, mean, scale, sum, dotted float32)",
		"normGradAVX2 computes dx = scale * (dy*gain - sum - (x-mean)*scale*dotted).")
	mean, scale, sum, dotted = v.argument("mean"), v.argument("scale"), v.argument("sum"), v.argument("dotted")
	v.sweep([]string{"dx", "x", "dy", "gain"}, func(s step) {
		x, g := s.load(1), s.load(2)
		v.VSUBPS(mean, x, x)
		v.VMULPS(scale, x, x)
		v.VFMSUB132PS(s.load(3), sum, g)
		v.VFNMADD231PS(x, dotted, g)
		v.VMULPS(scale, g, g)
		s.store(g, 0)
	})
	v.finish()
}

func (v *vectors) adamw() {
	v.function("adamwAVX2", "func(s, w, grad, m, v *float32, n int)", "adamwAVX2 makes one step of AdamW; s is the first field of an adamStep.")
	base := v.GP64()
	v.Load(v.Param("s"), base)
	var field [8]reg.VecVirtual
	for i := range field {
		field[i] = v.YMM()
		v.VBROADCASTSS(operand.Mem{Base: base, Disp: 4 * i}, field[i])
	}
	beta1, rest1, beta2, rest2, keep, rate, correct2, eps := field[0], field[1], field[2], field[3], field[4], field[5], field[6], field[7]
	v.sweep([]string{"w", "grad", "m", "v"}, func(s step) {
		g, first, second := s.load(1), s.load(2), s.load(3)
		v.VMULPS(beta1, first, first)
		v.VFMADD231PS(rest1, g, first)
		v.VMULPS(beta2, second, second)
		v.VMULPS(g, g, g)
		v.VFMADD231PS(rest2, g, second)
		s.store(first, 2)
		s.store(second, 3)
		v.VSQRTPS(second, second)
		v.VFMADD213PS(eps, correct2, second)
		v.VMULPS(rate, first, first)
		v.VDIVPS(second, first, first)
		w := s.load(0)
		v.VFMSUB132PS(keep, first, w)
		s.store(w, 0)
	})
	v.finish()
}
