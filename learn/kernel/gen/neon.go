package main

import "math"

// neonSweep is a function over slices with NEON. It does 8 elements a turn in two registers, as AVX2 does in one, with the same
// operations and the same order of sums: both give the same bits. What is left over of the slices lies, filled up to 8 elements each, one
// after the other at rest, which is nil if nothing is.
type neonSweep struct {
	*arm64
	slices []string
}

// neonHalf is half a turn: 4 elements of each slice.
type neonHalf struct {
	*neonSweep
	half int
}

func (h neonHalf) load(i int) vreg {
	d := h.reg()
	h.line("FMOVQ %d(R%d), F%d", 16*h.half, i, d)
	return d
}

func (h neonHalf) store(x vreg, i int) { h.line("FMOVQ F%d, %d(R%d)", x, 16*h.half, i) }

// sweepFunction writes a function over slices. scalars are further parameters, and before prepares constants and sums; turn does half a
// turn with temporary registers of its own; after gives the results.
func (a *arm64) sweepFunction(name, doc string, slices, scalars, results []string, before func() func(neonHalf), after func()) {
	var params []string
	for _, s := range slices {
		params = append(params, s+" *float32")
	}
	params = append(append(params, "n int", "rest *float32"), scalars...)
	a.function(name, doc, params, results)
	turn := before()
	for i, s := range slices {
		a.pointer(s, i)
	}
	const n, rest = 10, 11
	a.pointer("n", n)
	a.pointer("rest", rest)
	a.line("CBZ R%d, rest", n)
	a.label("loop")
	for half := range 2 {
		kept := a.next
		turn(neonHalf{&neonSweep{a, slices}, half})
		a.next = kept
	}
	for i := range slices {
		a.line("ADD $32, R%d", i)
	}
	a.line("SUBS $8, R%d, R%d", n, n)
	a.line("BNE loop")
	a.label("rest")
	a.line("CBZ R%d, done", rest)
	for i := range slices {
		a.line("ADD $%d, R%d, R%d", 32*i, rest, i)
	}
	a.line("MOVD $8, R%d", n)
	a.line("MOVD $0, R%d", rest)
	a.line("B loop")
	a.label("done")
	if after != nil {
		after()
	}
	a.line("RET")
}

func float(x float64) uint32 { return math.Float32bits(float32(x)) }

// fma is x*y + z in a new register.
func (a *arm64) fma(x, y, z vreg) vreg {
	d := a.copyOf(z)
	a.do(fmla, d, x, y)
	return d
}

// pairOf makes two accumulators, one for each half.
func (a *arm64) pairOf(bits uint32) [2]vreg { return [2]vreg{a.all(bits), a.all(bits)} }

// reduce joins the lanes of both halves in the order of AVX2's reduce.
func (a *arm64) reduce(acc [2]vreg, o operation, result string) {
	a.do(o, acc[0], acc[1], acc[0])
	a.line("VEXT $8, V%d.B16, V%d.B16, V%d.B16", acc[0], acc[0], acc[1])
	a.do(o, acc[0], acc[1], acc[0])
	a.line("VEXT $4, V%d.B16, V%d.B16, V%d.B16", acc[0], acc[0], acc[1])
	a.do(o, acc[0], acc[1], acc[0])
	a.line("FMOVS F%d, %s", acc[0], a.at(result))
}

func writeNEONVectors(a *arm64) {
	a.neonLinear()
	a.neonReductions()
	a.neonActivations()
	a.neonDropout()
	a.neonNorm()
	a.neonAdamW()
}

func (a *arm64) neonLinear() {
	a.sweepFunction("axpyNEON", "axpyNEON computes y += alpha*x.", []string{"x", "y"}, []string{"alpha float32"}, nil, func() func(neonHalf) {
		alpha := a.everyLane("alpha")
		return func(h neonHalf) { h.store(a.fma(h.load(0), alpha, h.load(1)), 1) }
	}, nil)
	a.sweepFunction("scaleNEON", "scaleNEON computes x *= alpha.", []string{"x"}, []string{"alpha float32"}, nil, func() func(neonHalf) {
		alpha := a.everyLane("alpha")
		return func(h neonHalf) { h.store(a.new(fmul, h.load(0), alpha), 0) }
	}, nil)
	a.sweepFunction("multiplyNEON", "multiplyNEON computes dst = x * (y+shift).", []string{"dst", "x", "y"}, []string{"shift float32"}, nil, func() func(neonHalf) {
		shift := a.everyLane("shift")
		return func(h neonHalf) { h.store(a.new(fmul, h.load(1), a.new(fadd, h.load(2), shift)), 0) }
	}, nil)
	a.sweepFunction("multiplyScaledNEON", "multiplyScaledNEON computes dst = x * y * scale.", []string{"dst", "x", "y"}, []string{"scale float32"}, nil, func() func(neonHalf) {
		scale := a.everyLane("scale")
		return func(h neonHalf) { h.store(a.new(fmul, a.new(fmul, h.load(1), scale), h.load(2)), 0) }
	}, nil)
}

func (a *arm64) neonReductions() {
	var acc [2]vreg
	sum := func() { a.reduce(acc, fadd, "sum") }
	a.sweepFunction("dotNEON", "dotNEON is the sum of x*y.", []string{"x", "y"}, nil, []string{"sum float32"}, func() func(neonHalf) {
		acc = a.pairOf(0)
		return func(h neonHalf) { a.do(fmla, acc[h.half], h.load(0), h.load(1)) }
	}, sum)
	a.sweepFunction("sumNEON", "sumNEON is the sum of x.", []string{"x"}, nil, []string{"sum float32"}, func() func(neonHalf) {
		acc = a.pairOf(0)
		return func(h neonHalf) { a.do(fadd, acc[h.half], acc[h.half], h.load(0)) }
	}, sum)
	a.sweepFunction("squaresNEON", "squaresNEON is the sum of (x-mean)^2.", []string{"x"}, []string{"mean float32"}, []string{"sum float32"}, func() func(neonHalf) {
		acc = a.pairOf(0)
		mean := a.everyLane("mean")
		return func(h neonHalf) {
			x := a.new(fsub, h.load(0), mean)
			a.do(fmla, acc[h.half], x, x)
		}
	}, sum)
	a.sweepFunction("maximumNEON", "maximumNEON is the largest element of x.", []string{"x"}, nil, []string{"largest float32"}, func() func(neonHalf) {
		acc = a.pairOf(float(math.Inf(-1)))
		return func(h neonHalf) { a.do(fmax, acc[h.half], acc[h.half], h.load(0)) }
	}, func() { a.reduce(acc, fmax, "largest") })
}

// neonExp holds the constants of exp.
type neonExp struct {
	*arm64
	least, most, log2e, ln2High, ln2Low, one, bias vreg
	polynomial                                     []vreg
}

func (a *arm64) exponential() neonExp {
	e := neonExp{
		arm64: a, least: a.all(float(expMin)), most: a.all(float(expMax)), log2e: a.all(float(math.Log2E)),
		ln2High: a.all(float(ln2High)), ln2Low: a.all(float(ln2Low)), one: a.all(float(1)), bias: a.all(127),
	}
	for _, c := range expPolynomial {
		e.polynomial = append(e.polynomial, a.all(float(c)))
	}
	return e
}

// of is e**x as 2**n * e**r; see vectors.exp. It takes few registers: x is used up.
func (e neonExp) of(x vreg) vreg {
	small := e.new(fcmgt, e.least, x)
	e.do(fmin, x, x, e.most)
	n := e.new(fmul, x, e.log2e)
	e.do(frintn, n, n)
	e.do(fmls, x, n, e.ln2High)
	e.do(fmls, x, n, e.ln2Low)
	p, t := e.copyOf(e.polynomial[0]), e.reg()
	for _, c := range e.polynomial[1:] {
		e.move(t, c)
		e.do(fmla, t, p, x)
		p, t = t, p
	}
	e.do(fmul, t, x, x)
	e.do(fmla, x, p, t)
	e.do(fadd, p, x, e.one)
	e.do(fcvtns, n, n)
	e.do(add, n, n, e.bias)
	e.shift(n, n, 23, true)
	e.do(fmul, p, p, n)
	e.do(bic, p, p, small)
	return p
}

// geluTerm is x * (linear + cubic*x^2).
func (a *arm64) geluTerm(x, square, linear, cubic vreg) vreg {
	t := a.fma(cubic, square, linear)
	a.do(fmul, t, t, x)
	return t
}

func (a *arm64) neonActivations() {
	var acc [2]vreg
	a.sweepFunction("expNEON", "expNEON computes dst = exp(x-shift) and returns its sum.", []string{"dst", "x"}, []string{"shift float32"}, []string{"sum float32"}, func() func(neonHalf) {
		acc = a.pairOf(0)
		shift, exp := a.everyLane("shift"), a.exponential()
		return func(h neonHalf) {
			e := exp.of(a.new(fsub, h.load(1), shift))
			h.store(e, 0)
			a.do(fadd, acc[h.half], acc[h.half], e)
		}
	}, func() { a.reduce(acc, fadd, "sum") })
	a.sweepFunction("geluNEON", "geluNEON computes dst = GELU(x).", []string{"dst", "x"}, nil, nil, func() func(neonHalf) {
		linear, cubic, exp := a.all(float(geluLinear)), a.all(float(geluCubic)), a.exponential()
		return func(h neonHalf) {
			x := h.load(1)
			e := exp.of(a.geluTerm(x, a.new(fmul, x, x), linear, cubic))
			a.do(fadd, e, e, exp.one)
			a.do(fdiv, x, x, e)
			h.store(x, 0)
		}
	}, nil)
	slope := func() func(h neonHalf, x vreg) (sigmoid, slope vreg) {
		linear, cubic, triple, exp := a.all(float(geluLinear)), a.all(float(geluCubic)), a.all(float(3*geluCubic)), a.exponential()
		return func(h neonHalf, x vreg) (sigmoid, slope vreg) {
			square := a.new(fmul, x, x)
			inner := a.geluTerm(x, square, linear, triple)
			e := exp.of(a.geluTerm(x, square, linear, cubic))
			sigmoid = a.new(fadd, e, exp.one)
			a.do(fdiv, sigmoid, exp.one, sigmoid)
			// sigmoid - sigmoid*(e*sigmoid)*inner
			a.do(fmul, e, e, sigmoid)
			a.do(fmul, e, e, sigmoid)
			slope = a.copyOf(sigmoid)
			a.do(fmls, slope, e, inner)
			return sigmoid, slope
		}
	}
	a.sweepFunction("geluGradNEON", "geluGradNEON computes dx = dy * GELU'(x).", []string{"dx", "x", "dy"}, nil, nil, func() func(neonHalf) {
		of := slope()
		return func(h neonHalf) {
			_, s := of(h, h.load(1))
			a.do(fmul, s, s, h.load(2))
			h.store(s, 0)
		}
	}, nil)
	a.sweepFunction("geluSlopeNEON", "geluSlopeNEON computes y = GELU(x) and slope = GELU'(x).", []string{"y", "slope", "x"}, nil, nil, func() func(neonHalf) {
		of := slope()
		return func(h neonHalf) {
			x := h.load(2)
			sigmoid, s := of(h, x)
			a.do(fmul, x, x, sigmoid)
			h.store(x, 0)
			h.store(s, 1)
		}
	}, nil)
	a.sweepFunction("swigluNEON", "swigluNEON computes y = gate * sigmoid(gate) * up and its slopes.", []string{"y", "gate", "up", "gateSlope", "upSlope"}, nil, nil, func() func(neonHalf) {
		exp := a.exponential()
		return func(h neonHalf) {
			gate, up := h.load(1), h.load(2)
			e := exp.of(a.new(fneg, gate))
			sigmoid := a.new(fadd, e, exp.one)
			a.do(fdiv, sigmoid, exp.one, sigmoid)
			// up * sigmoid * (1 + gate*(e*sigmoid))
			a.do(fmul, e, e, sigmoid)
			rest := a.fma(e, gate, exp.one)
			a.do(fmul, rest, rest, sigmoid)
			a.do(fmul, rest, rest, up)
			a.do(fmul, sigmoid, sigmoid, gate)
			a.do(fmul, up, up, sigmoid)
			h.store(up, 0)
			h.store(rest, 3)
			h.store(sigmoid, 4)
		}
	}, nil)
}

// neonDropout writes the two forms of dropout. The mask is a hash of an element's index, see dropoutPortable.
func (a *arm64) neonDropout() {
	for _, f := range []struct {
		name, doc string
		add       bool
	}{
		{"dropoutNEON", "dropoutNEON computes dst = x * mask.", false},
		{"dropoutAddNEON", "dropoutAddNEON computes dst += x * mask.", true},
	} {
		scalars := []string{"first uint32", "key0 uint32", "key1 uint32", "limit uint32", "keep float32"}
		a.sweepFunction(f.name, f.doc, []string{"dst", "x"}, scalars, nil, func() func(neonHalf) {
			key1, limit, keep := a.everyLane("key1"), a.everyLane("limit"), a.everyLane("keep")
			step, first, second := a.all(8*dropoutStride&math.MaxUint32), a.all(dropoutFirst), a.all(dropoutSecond)
			// Lane i of half h begins as (first+4*h+i)*stride + key0.
			var state [2]vreg
			stride, key0 := a.all(dropoutStride), a.everyLane("key0")
			for half := range state {
				state[half] = a.everyLane("first")
				for lane := range 4 {
					a.line("MOVWU %s, R9", a.at("first"))
					a.line("ADDW $%d, R9, R9", 4*half+lane)
					a.line("VMOV R9, V%d.S[%d]", state[half], lane)
				}
				a.do(mul, state[half], state[half], stride)
				a.do(add, state[half], state[half], key0)
			}
			return func(h neonHalf) {
				s, t := state[h.half], a.reg()
				hash := a.reg()
				a.shift(hash, s, 16, false)
				a.do(eor, hash, hash, s)
				a.do(mul, hash, hash, first)
				a.do(eor, hash, hash, key1)
				a.shift(t, hash, 15, false)
				a.do(eor, hash, hash, t)
				a.do(mul, hash, hash, second)
				a.shift(t, hash, 15, false)
				a.do(eor, hash, hash, t)
				a.shift(hash, hash, 8, false)
				a.do(add, s, s, step)
				a.do(cmgt, hash, limit, hash) // dropped
				x := a.new(fmul, h.load(1), keep)
				a.do(bic, x, x, hash)
				if f.add {
					a.do(fadd, x, x, h.load(0))
				}
				h.store(x, 0)
			}
		}, nil)
	}
}

func (a *arm64) neonNorm() {
	scalars := []string{"mean float32", "scale float32"}
	// normalised is (x-mean)*scale of a slice.
	normalised := func() func(h neonHalf, i int) vreg {
		mean, scale := a.everyLane("mean"), a.everyLane("scale")
		return func(h neonHalf, i int) vreg {
			x := a.new(fsub, h.load(i), mean)
			a.do(fmul, x, x, scale)
			return x
		}
	}
	a.sweepFunction("normaliseNEON", "normaliseNEON computes y = (x-mean)*scale*gain + bias.", []string{"y", "x", "gain", "bias"}, scalars, nil, func() func(neonHalf) {
		z := normalised()
		return func(h neonHalf) { h.store(a.fma(z(h, 1), h.load(2), h.load(3)), 0) }
	}, nil)
	a.sweepFunction("normGradParamsNEON", "normGradParamsNEON computes dgain += dy*(x-mean)*scale and dbias += dy.", []string{"x", "dy", "dgain", "dbias"}, scalars, nil, func() func(neonHalf) {
		z := normalised()
		return func(h neonHalf) {
			dy := h.load(1)
			h.store(a.fma(z(h, 0), dy, h.load(2)), 2)
			h.store(a.new(fadd, dy, h.load(3)), 3)
		}
	}, nil)
	var sums, dotted [2]vreg
	a.sweepFunction("normGradSumsNEON", "normGradSumsNEON gives, with g = dy*gain and z = (x-mean)*scale, the sums of g and of g*z.", []string{"x", "dy", "gain"}, scalars,
		[]string{"sum float32", "dotted float32"}, func() func(neonHalf) {
			sums, dotted = a.pairOf(0), a.pairOf(0)
			z := normalised()
			return func(h neonHalf) {
				g := a.new(fmul, h.load(1), h.load(2))
				a.do(fadd, sums[h.half], sums[h.half], g)
				a.do(fmla, dotted[h.half], z(h, 0), g)
			}
		}, func() {
			a.reduce(sums, fadd, "sum")
			a.reduce(dotted, fadd, "dotted")
		})
	a.sweepFunction("normGradNEON", "normGradNEON computes dx = scale * (dy*gain - sum - (x-mean)*scale*dotted).", []string{"dx", "x", "dy", "gain"},
		append(scalars, "sum float32", "dotted float32"), nil, func() func(neonHalf) {
			z, scale := normalised(), a.everyLane("scale")
			sum, dotted := a.everyLane("sum"), a.everyLane("dotted")
			a.do(fneg, sum, sum)
			return func(h neonHalf) {
				g := a.fma(h.load(2), h.load(3), sum)
				a.do(fmls, g, z(h, 1), dotted)
				a.do(fmul, g, g, scale)
				h.store(g, 0)
			}
		}, nil)
}

func (a *arm64) neonAdamW() {
	a.sweepFunction("adamwNEON", "adamwNEON makes one step of AdamW; s is the first field of an adamStep.", []string{"w", "grad", "m", "v"}, []string{"s *float32"}, nil, func() func(neonHalf) {
		a.pointer("s", 12)
		var field [8]vreg
		for i := range field {
			field[i] = a.reg()
			a.line("MOVWU %d(R12), R9", 4*i)
			a.line("VDUP R9, V%d.S4", field[i])
		}
		beta1, rest1, beta2, rest2, keep, rate, correct2, eps := field[0], field[1], field[2], field[3], field[4], field[5], field[6], field[7]
		return func(h neonHalf) {
			g, first, second := h.load(1), h.load(2), h.load(3)
			a.do(fmul, first, first, beta1)
			a.do(fmla, first, rest1, g)
			a.do(fmul, second, second, beta2)
			a.do(fmul, g, g, g)
			a.do(fmla, second, rest2, g)
			h.store(first, 2)
			h.store(second, 3)
			a.do(fsqrt, second, second)
			second = a.fma(second, correct2, eps)
			a.do(fmul, first, first, rate)
			a.do(fdiv, first, first, second)
			a.do(fneg, first, first)
			a.do(fmla, first, h.load(0), keep)
			h.store(first, 0)
		}
	}, nil)
}

// writeNEONAccumulate writes what writeAccumulate does: n is a positive multiple of 8.
func writeNEONAccumulate(a *arm64) {
	a.neonAddWeighted("addWeightedVector", "x")
	a.neonAddWeighted("addWeightedFourVector", "x0", "x1", "x2", "x3")

	a.function("quotientsVector", "quotientsVector computes dst = dividends / divisor in float64, and rounds.", []string{"dst *float32", "dividends *float64", "n int", "divisor *float64"}, nil)
	a.pointer("divisor", 11)
	divisor := a.reg()
	a.line("MOVD (R11), R9")
	a.line("VDUP R9, V%d.D2", divisor)
	a.eights(map[string]int{"dst": 32, "dividends": 64}, func(at map[string]int) {
		for half := range 2 {
			narrow := a.reg()
			for quarter, o := range []operation{fcvtn, fcvtn2} {
				wide := a.reg()
				a.line("FMOVQ %d(R%d), F%d", 32*half+16*quarter, at["dividends"], wide)
				a.do(fdivD, wide, wide, divisor)
				a.do(o, narrow, wide)
			}
			a.line("FMOVQ F%d, %d(R%d)", narrow, 16*half, at["dst"])
		}
	})
	a.line("RET")

	a.function("magnitudeVector", "magnitudeVector is the largest magnitude of x by its bits: a NaN is larger than infinity.", []string{"x *float32", "n int"}, []string{"largest float32"})
	acc, magnitude := a.pairOf(0), a.all(math.MaxInt32)
	a.eights(map[string]int{"x": 32}, func(at map[string]int) {
		for half := range 2 {
			x := a.reg()
			a.line("FMOVQ %d(R%d), F%d", 16*half, at["x"], x)
			a.do(and, x, x, magnitude)
			a.do(umax, acc[half], acc[half], x)
		}
	})
	a.reduce(acc, umax, "largest")
	a.line("RET")

	a.function("dequantiseVector", "dequantiseVector computes dst = scale*steps of signed bytes.", []string{"dst *float32", "steps *byte", "n int", "scale float32"}, nil)
	scale := a.everyLane("scale")
	a.eights(map[string]int{"dst": 32, "steps": 8}, func(at map[string]int) {
		steps := a.reg()
		a.line("FMOVD (R%d), F%d", at["steps"], steps)
		a.do(sxtlB, steps, steps)
		for half, o := range []operation{sxtl, sxtl2} {
			x := a.new(o, steps)
			a.do(scvtf, x, x)
			a.do(fmul, x, x, scale)
			a.line("FMOVQ F%d, %d(R%d)", x, 16*half, at["dst"])
		}
	})
	a.line("RET")
}

func (a *arm64) neonAddWeighted(name string, xs ...string) {
	params := []string{"sums *float64"}
	bytes := map[string]int{"sums": 64}
	for _, x := range xs {
		params = append(params, x+" *float32")
		bytes[x] = 32
	}
	a.function(name, name+" computes sums += w[0]*x and so on from left to right, without fusing.", append(params, "n int", "w *float64"), nil)
	a.pointer("w", 11)
	w := make([]vreg, len(xs))
	for i := range xs {
		w[i] = a.reg()
		a.line("MOVD %d(R11), R9", 8*i)
		a.line("VDUP R9, V%d.D2", w[i])
	}
	a.eights(bytes, func(at map[string]int) {
		var sums [4]vreg
		for i := range sums {
			sums[i] = a.reg()
			a.line("FMOVQ %d(R%d), F%d", 16*i, at["sums"], sums[i])
		}
		kept := a.next
		for i, x := range xs {
			a.next = kept
			for half := range 2 {
				values := a.reg()
				a.line("FMOVQ %d(R%d), F%d", 16*half, at[x], values)
				for quarter, o := range []operation{fcvtl, fcvtl2} {
					product := a.new(o, values)
					a.do(fmulD, product, product, w[i])
					a.do(faddD, sums[2*half+quarter], sums[2*half+quarter], product)
				}
			}
		}
		for i, s := range sums {
			a.line("FMOVQ F%d, %d(R%d)", s, 16*i, at["sums"])
		}
	})
	a.line("RET")
}

// eights writes a loop over slices, by the names of their arguments, of which 8 elements have so many bytes.
func (a *arm64) eights(bytes map[string]int, body func(at map[string]int)) {
	at := map[string]int{}
	names := sortedKeys(bytes)
	for i, name := range names {
		at[name] = i
		a.pointer(name, i)
	}
	const n = 10
	a.pointer("n", n)
	a.label("loop")
	body(at)
	for i, name := range names {
		a.line("ADD $%d, R%d", bytes[name], i)
	}
	a.line("SUBS $8, R%d, R%d", n, n)
	a.line("BNE loop")
}
