package main

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// writeAccumulate writes the functions that averaging takes. They do 8 elements a turn, and nothing for a rest: n is a multiple of 8.
func writeAccumulate(ctx *build.Context) {
	v := &vectors{Context: ctx, constants: map[uint32]operand.Mem{}}

	v.addWeighted("addWeightedVector", "x")
	v.addWeighted("addWeightedFourVector", "x0", "x1", "x2", "x3")

	v.function("quotientsVector", "func(dst *float32, dividends *float64, n int, divisor *float64)", "quotientsVector computes dst = dividends / divisor in float64, and rounds.")
	divisor, from := v.YMM(), v.GP64()
	v.Load(v.Param("divisor"), from)
	v.VBROADCASTSD(operand.Mem{Base: from}, divisor)
	v.eights(map[string]int{"dst": 32, "dividends": 64}, func(at map[string]reg.GPVirtual) {
		for half := range 2 {
			wide, narrow := v.YMM(), v.XMM()
			v.VMOVUPD(operand.Mem{Base: at["dividends"], Disp: 32 * half}, wide)
			v.VDIVPD(divisor, wide, wide)
			v.VCVTPD2PSY(wide, narrow)
			v.VMOVUPS(narrow, operand.Mem{Base: at["dst"], Disp: 16 * half})
		}
	})
	v.finish()

	v.function("magnitudeVector", "func(x *float32, n int) (largest float32)", "magnitudeVector is the largest magnitude of x by its bits: a NaN is larger than infinity.")
	largest, magnitude := v.zero(), v.YMM()
	v.VMOVDQU(v.allBits(math.MaxInt32), magnitude)
	v.eights(map[string]int{"x": 32}, func(at map[string]reg.GPVirtual) {
		x := v.YMM()
		v.VPAND(operand.Mem{Base: at["x"]}, magnitude, x)
		v.VPMAXUD(x, largest, largest)
	})
	v.reduce(largest, v.VPMAXUD, "largest")
	v.finish()

	v.function("dequantiseVector", "func(dst *float32, steps *byte, n int, scale float32)", "dequantiseVector computes dst = scale*steps of signed bytes.")
	scale := v.argument("scale")
	v.eights(map[string]int{"dst": 32, "steps": 8}, func(at map[string]reg.GPVirtual) {
		x := v.YMM()
		v.VPMOVSXBD(operand.Mem{Base: at["steps"]}, x)
		v.VCVTDQ2PS(x, x)
		v.VMULPS(scale, x, x)
		v.VMOVUPS(x, operand.Mem{Base: at["dst"]})
	})
	v.finish()
}

// addWeighted writes sums += w[0]*x0 + w[1]*x1 + ..., product by product and sum by sum. With several slices the sums are loaded and stored
// once for all of them, and memory is read in several places at a time.
func (v *vectors) addWeighted(name string, xs ...string) {
	v.function(name, "func(sums *float64, "+strings.Join(xs, ", ")+" *float32, n int, w *float64)",
		name+" computes sums += w[0]*"+strings.Join(xs, " + w[i]*")+" from left to right, without fusing.")
	weights := v.GP64()
	v.Load(v.Param("w"), weights)
	w := make([]reg.VecVirtual, len(xs))
	bytes := map[string]int{"sums": 64}
	for i, x := range xs {
		bytes[x] = 32
		w[i] = v.YMM()
		v.VBROADCASTSD(operand.Mem{Base: weights, Disp: 8 * i}, w[i])
	}
	v.eights(bytes, func(at map[string]reg.GPVirtual) {
		for half := range 2 {
			place := operand.Mem{Base: at["sums"], Disp: 32 * half}
			sums := v.YMM()
			v.VMOVUPD(place, sums)
			for i, x := range xs {
				product := v.YMM()
				v.VCVTPS2PD(operand.Mem{Base: at[x], Disp: 16 * half}, product)
				v.VMULPD(w[i], product, product)
				v.VADDPD(product, sums, sums)
			}
			v.VMOVUPD(sums, place)
		}
	})
	v.finish()
}

// eights writes a loop over slices, by the names of their arguments, of which 8 elements have so many bytes.
func (v *vectors) eights(bytes map[string]int, body func(at map[string]reg.GPVirtual)) {
	at := map[string]reg.GPVirtual{}
	names := sortedKeys(bytes)
	for _, name := range names {
		at[name] = v.GP64()
		v.Load(v.Param(name), at[name])
	}
	n := v.GP64()
	v.Load(v.Param("n"), n)
	v.Label("loop")
	body(at)
	for _, name := range names {
		v.ADDQ(operand.Imm(uint64(bytes[name])), at[name])
	}
	v.SUBQ(operand.Imm(8), n)
	v.JNZ(operand.LabelRef("loop"))
}

func sortedKeys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }
