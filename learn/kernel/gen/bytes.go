package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// writeBytes writes the product of matrices of bytes, and the rounding to bytes that goes before it.
func writeBytes(ctx *build.Context) {
	t := byteTile{tile{Context: ctx, rows: 12, lanes: 16, vector: z}}
	t.write()
	roundToBytes(ctx)
}

// byteTile is a tile of 12 x 32, as tile is for float32.
type byteTile struct{ tile }

// Elements of A and of B that share scales, along the sum. A step of the inner loop takes four.
const (
	byteGroup = 64
	panelCols = 32
)

// Registers beside those of tile. Those of A's scales and corrections have the same stride.
var (
	groups      = reg.RBX
	bScale      = reg.RDI
	aScale      = reg.RSI
	aCorrection = reg.R15
	scaleRow    = reg.R9
)

func (t byteTile) write() {
	t.Function("tileVNNI")
	t.Attributes(attr.NOSPLIT)
	t.Doc("tileVNNI is byteTile.portable with the integer products of AVX-512 VNNI.")
	t.Pragma("noescape")
	t.SignatureExpr("func(rows, cols, groups int, alpha float32, a *int8, arow int, ascale *float32, correction *int32, scaleRow int, b *uint8, bscale *float32, sums *float32, beta float32, c *float32, ldc int)")
	t.Load(t.Param("rows"), rowsLeft)
	t.Load(t.Param("groups"), groups)
	t.Load(t.Param("a"), a[0])
	t.Load(t.Param("arow"), aRow)
	t.Load(t.Param("ascale"), aScale)
	t.Load(t.Param("correction"), aCorrection)
	t.Load(t.Param("scaleRow"), scaleRow)
	t.Load(t.Param("b"), b)
	t.Load(t.Param("bscale"), bScale)
	t.SHLQ(operand.Imm(2), scaleRow)
	for i := 1; i < (t.rows+2)/3; i++ {
		t.LEAQ(operand.Mem{Base: a[i-1], Index: aRow, Scale: 2}, a[i])
		t.ADDQ(aRow, a[i])
	}
	sums := steps // before the first group
	t.Load(t.Param("sums"), sums)
	t.VPXORD(t.acc(0, 0), t.acc(0, 0), t.acc(0, 0))
	for i := range 2 * t.rows {
		t.VMOVUPS(t.acc(0, 0), operand.Mem{Base: sums, Disp: 64 * i})
	}
	t.choose(2)
	for rows := t.rows; rows >= 1; rows-- {
		t.group(rows)
	}
	t.finishBytes()
	t.Label("done")
	t.VZEROUPPER()
	t.RET()
}

// group sums a group of elements in integers, and adds the sums, times their scales, to those in memory.
func (t byteTile) group(rows int) {
	t.Label(loopName(rows, 2))
	for i := range rows {
		t.VPBROADCASTD(operand.Mem{Base: aCorrection, Disp: 4 * i}, t.acc(i, 0))
		t.VMOVDQA64(t.acc(i, 0), t.acc(i, 1))
	}
	t.MOVL(operand.U32(byteGroup/4), steps.As32())
	inner := fmt.Sprintf("steps%d", rows)
	t.Label(inner)
	for v := range 2 {
		t.VMOVDQU64(operand.Mem{Base: b, Disp: 64 * v}, t.spare(v))
	}
	for i := range rows {
		x := operand.Mem{Base: a[i/3]}
		if i%3 > 0 {
			x.Index, x.Scale = aRow, uint8(i%3)
		}
		four := t.spare(2 + i%6)
		t.VPBROADCASTD(x, four)
		for v := range 2 {
			t.VPDPBUSD(four, t.spare(v), t.acc(i, v))
		}
	}
	for i := range (rows + 2) / 3 {
		t.ADDQ(operand.Imm(4), a[i])
	}
	t.ADDQ(operand.U32(4*panelCols), b)
	t.DECL(steps.As32())
	t.JNZ(operand.LabelRef(inner))

	sums := steps
	t.Load(t.Param("sums"), sums)
	for v := range 2 {
		t.VMOVUPS(operand.Mem{Base: bScale, Disp: 64 * v}, t.spare(v))
	}
	for i := range rows {
		t.VBROADCASTSS(operand.Mem{Base: aScale, Disp: 4 * i}, t.spare(2))
		for v := range 2 {
			at := operand.Mem{Base: sums, Disp: 64 * (2*i + v)}
			t.VCVTDQ2PS(t.acc(i, v), t.acc(i, v))
			t.VMULPS(t.spare(v), t.acc(i, v), t.acc(i, v))
			t.VMULPS(t.spare(2), t.acc(i, v), t.acc(i, v))
			t.VADDPS(at, t.acc(i, v), t.acc(i, v))
			t.VMOVUPS(t.acc(i, v), at)
		}
	}
	t.ADDQ(scaleRow, aScale)
	t.ADDQ(scaleRow, aCorrection)
	t.ADDQ(operand.U32(4*panelCols), bScale)
	t.DECQ(groups)
	t.JNZ(operand.LabelRef(loopName(rows, 2)))
	t.JMP(operand.LabelRef("finish"))
}

// finishBytes writes C = alpha*sums + beta*C without fusing.
func (t byteTile) finishBytes() {
	t.Label("finish")
	sums := steps
	t.Load(t.Param("sums"), sums)
	t.Load(t.Param("cols"), cols)
	t.loadMasks(2)
	t.Load(t.Param("c"), c)
	t.Load(t.Param("ldc"), cRow)
	t.SHLQ(operand.Imm(2), cRow)
	alpha, beta, x, old := t.spare(0), t.spare(1), t.spare(2), t.spare(3)
	t.VBROADCASTSS(t.param("alpha"), alpha)
	t.VBROADCASTSS(t.param("beta"), beta)
	t.MOVL(t.param("beta"), bits.As32())
	t.SHLL(operand.Imm(1), bits.As32())
	t.JZ(operand.LabelRef("set"))
	for _, add := range []bool{true, false} {
		if !add {
			t.Label("set")
		}
		row := map[bool]string{true: "addRow", false: "setRow"}[add]
		t.Label(row)
		for v := range 2 {
			at := operand.Mem{Base: c, Disp: 64 * v}
			t.VMULPS(operand.Mem{Base: sums, Disp: 64 * v}, alpha, x)
			if add {
				t.VMOVUPS_Z(at, masks[v], old)
				t.VMULPS(beta, old, old)
				t.VADDPS(old, x, x)
			}
			t.VMOVUPS(x, masks[v], at)
		}
		t.ADDQ(operand.U32(4*panelCols), sums)
		t.ADDQ(cRow, c)
		t.DECQ(rowsLeft)
		t.JNZ(operand.LabelRef(row))
		t.JMP(operand.LabelRef("done"))
	}
}

// roundToBytes writes the rounding of one row of A.
func roundToBytes(ctx *build.Context) {
	v := &vectors{Context: ctx, constants: map[uint32]operand.Mem{}}
	v.function("roundToBytesVNNI", "func(q *int8, scale *float32, correction *int32, scaleRow int, x *float32, groups int)",
		"roundToBytesVNNI is roundToBytes for whole groups.")
	q, scale, correction, row, from, left := v.GP64(), v.GP64(), v.GP64(), v.GP64(), v.GP64(), v.GP64()
	v.Load(v.Param("q"), q)
	v.Load(v.Param("scale"), scale)
	v.Load(v.Param("correction"), correction)
	v.Load(v.Param("scaleRow"), row)
	v.SHLQ(operand.Imm(2), row)
	v.Load(v.Param("x"), from)
	v.Load(v.Param("groups"), left)
	word, bits := v.GP32(), v.GP32()
	magnitude := v.ZMM()
	v.MOVL(operand.U32(0x7fffffff), word)
	v.VPBROADCASTD(word, magnitude)
	steps := v.XMM() // on either side of zero
	v.MOVL(operand.U32(0x42fe0000), word)
	v.VMOVD(word, steps)

	v.Label("group")
	var x [4]reg.VecVirtual
	largest := v.ZMM()
	for i := range x {
		x[i] = v.ZMM()
		v.VMOVUPS(operand.Mem{Base: from, Disp: 64 * i}, x[i])
		if i == 0 {
			v.VPANDD(x[i], magnitude, largest)
			continue
		}
		m := v.ZMM()
		v.VPANDD(x[i], magnitude, m)
		v.VPMAXUD(m, largest, largest)
	}
	v.join(largest, v.VPMAXUD)
	v.VMOVD(largest.AsX(), bits)
	v.SUBL(operand.U32(leastRounded), bits)
	v.CMPL(bits, operand.U32(0x7f800000-leastRounded))
	v.JAE(operand.LabelRef("special"))

	s, inverse, inverses := v.XMM(), v.XMM(), v.ZMM()
	v.VDIVSS(steps, largest.AsX(), s)
	v.VMOVSS(s, operand.Mem{Base: scale})
	v.VDIVSS(largest.AsX(), steps, inverse)
	v.VBROADCASTSS(inverse, inverses)
	total := v.ZMM()
	for i := range x {
		v.VMULPS(inverses, x[i], x[i])
		v.VCVTPS2DQ(x[i], x[i])
		v.VPMOVSDB(x[i], operand.Mem{Base: q, Disp: 16 * i})
		if i == 0 {
			v.VMOVDQA64(x[i], total)
		} else {
			v.VPADDD(x[i], total, total)
		}
	}
	v.join(total, v.VPADDD)
	v.VPSLLD(operand.Imm(7), total.AsX(), total.AsX())
	zero := v.XMM()
	v.VPXORD(zero, zero, zero)
	v.VPSUBD(total.AsX(), zero, zero)
	v.VMOVD(zero, operand.Mem{Base: correction})

	v.Label("next")
	v.ADDQ(operand.Imm(byteGroup), q)
	v.ADDQ(operand.U32(4*byteGroup), from)
	v.ADDQ(row, scale)
	v.ADDQ(row, correction)
	v.DECQ(left)
	v.JNZ(operand.LabelRef("group"))
	v.finish()

	v.Label("special")
	nothing := v.ZMM()
	v.VPXORD(nothing, nothing, nothing)
	v.VMOVDQU64(nothing, operand.Mem{Base: q})
	v.VMOVD(nothing.AsX(), operand.Mem{Base: correction})
	// 0 of a finite number, and NaN of another one.
	v.VSUBSS(largest.AsX(), largest.AsX(), nothing.AsX())
	v.VMOVSS(nothing.AsX(), operand.Mem{Base: scale})
	v.JMP(operand.LabelRef("next"))
}

// leastRounded is the bits of the smallest magnitude of a group that is not taken for zero, 2^-100.
const leastRounded = (127 - 100) << 23

// join leaves the operation on all 16 lanes of z in its lowest lane.
func (v *vectors) join(z reg.VecVirtual, operation func(...operand.Op)) {
	high := v.YMM()
	v.VEXTRACTI64X4(operand.Imm(1), z, high)
	operation(high, z.AsY(), z.AsY())
	x, part := z.AsX(), v.XMM()
	v.VEXTRACTI32X4(operand.Imm(1), z.AsY(), part)
	operation(part, x, x)
	v.VPSHUFD(operand.Imm(0x4e), x, part)
	operation(part, x, x)
	v.VPSHUFD(operand.Imm(0xb1), x, part)
	operation(part, x, x)
}
