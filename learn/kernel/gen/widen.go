package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// writeWiden writes the copies of stored weights, as float32, to panels. A row of 8*vectors*panels elements goes to as many panels,
// dstPanel apart; the next row is srcRow further in src, and dstRow in each panel.
func writeWiden(ctx *build.Context) {
	v := &vectors{Context: ctx}
	v.function("widenFloatsAVX2", "func(dst *float32, dstRow, dstPanel int, src *float32, srcRow, rows, panels, vectors int)",
		"widenFloatsAVX2 copies rows of float32 to panels.")
	v.widen(2, func() {}, func(at operand.Mem, y reg.VecVirtual) { v.VMOVUPS(at, y) })

	v.function("widenHalvesAVX2", "func(dst *float32, dstRow, dstPanel int, src *uint16, srcRow, rows, panels, vectors int)",
		"widenHalvesAVX2 copies rows of bfloat16 to panels.")
	v.widen(1, func() {}, func(at operand.Mem, y reg.VecVirtual) {
		v.VPMOVZXWD(at, y)
		v.VPSLLD(operand.Imm(16), y, y)
	})

	v.function("widenBytesAVX2", "func(dst *float32, dstRow, dstPanel int, src *int8, srcRow, rows, panels, vectors int, scales *float32, scaleRow int)",
		"widenBytesAVX2 copies rows of bytes, times the scale of the row, to panels.")
	scales, scaleRow := v.GP64(), v.GP64()
	v.Load(v.Param("scales"), scales)
	v.Load(v.Param("scaleRow"), scaleRow)
	scale := v.YMM()
	v.widen(0, func() {
		v.VBROADCASTSS(operand.Mem{Base: scales}, scale)
		v.LEAQ(operand.Mem{Base: scales, Index: scaleRow, Scale: 4}, scales)
	}, func(at operand.Mem, y reg.VecVirtual) {
		v.VPMOVSXBD(at, y)
		v.VCVTDQ2PS(y, y)
		v.VMULPS(scale, y, y)
	})
}

// widen writes the loops over rows, panels and vectors of elements of 1<<shift bytes, and the end of the function. The row that is 8
// further is fetched meanwhile.
func (v *vectors) widen(shift uint64, row func(), vector func(at operand.Mem, y reg.VecVirtual)) {
	var p [8]reg.GPVirtual
	for i, name := range []string{"dst", "dstRow", "dstPanel", "src", "srcRow", "rows", "panels", "vectors"} {
		p[i] = v.GP64()
		v.Load(v.Param(name), p[i])
	}
	dst, dstRow, dstPanel, src, srcRow, rows, panels, count := p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
	v.SHLQ(operand.Imm(2), dstRow)
	v.SHLQ(operand.Imm(2), dstPanel)
	if shift > 0 {
		v.SHLQ(operand.Imm(shift), srcRow)
	}
	from, panel, to, panelsLeft, left := v.GP64(), v.GP64(), v.GP64(), v.GP64(), v.GP64()
	v.Label("row")
	v.MOVQ(src, from)
	v.MOVQ(dst, panel)
	v.MOVQ(panels, panelsLeft)
	row()
	v.Label("panel")
	v.MOVQ(panel, to)
	v.MOVQ(count, left)
	v.Label("vector")
	y := v.YMM()
	vector(operand.Mem{Base: from}, y)
	v.PREFETCHT0(operand.Mem{Base: from, Index: srcRow, Scale: 8})
	v.VMOVUPS(y, operand.Mem{Base: to})
	v.ADDQ(operand.Imm(8<<shift), from)
	v.ADDQ(operand.Imm(32), to)
	v.DECQ(left)
	v.JNZ(operand.LabelRef("vector"))
	v.ADDQ(dstPanel, panel)
	v.DECQ(panelsLeft)
	v.JNZ(operand.LabelRef("panel"))
	v.ADDQ(srcRow, src)
	v.ADDQ(dstRow, dst)
	v.DECQ(rows)
	v.JNZ(operand.LabelRef("row"))
	v.finish()
}
