package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// writeTranspose writes the copy of 8 rows that packs a transposed matrix.
func writeTranspose(ctx *build.Context) {
	v := &vectors{Context: ctx}
	v.function("transposeAVX2", "func(dst *float32, dstRow int, src *float32, srcRow, blocks int)",
		"transposeAVX2 copies 8 rows of 8*blocks elements, srcRow apart, to 8*blocks rows of 8, dstRow apart.")
	dst, dstRow, src, srcRow, blocks := v.GP64(), v.GP64(), v.GP64(), v.GP64(), v.GP64()
	v.Load(v.Param("dst"), dst)
	v.Load(v.Param("dstRow"), dstRow)
	v.Load(v.Param("src"), src)
	v.Load(v.Param("srcRow"), srcRow)
	v.Load(v.Param("blocks"), blocks)
	v.SHLQ(operand.Imm(2), dstRow)
	v.SHLQ(operand.Imm(2), srcRow)
	v.Label("loop")

	// Pairs of rows interleaved within each half, then fours, then the halves exchanged.
	at := v.GP64()
	v.MOVQ(src, at)
	var rows, pairs, fours [8]reg.VecVirtual
	for i := range rows {
		rows[i] = v.YMM()
		v.VMOVUPS(operand.Mem{Base: at}, rows[i])
		v.PREFETCHT0(operand.Mem{Base: at, Index: srcRow, Scale: 8}) // for the next call, on the rows after these
		v.ADDQ(srcRow, at)
	}
	for i := 0; i < 8; i += 2 {
		pairs[i], pairs[i+1] = v.YMM(), v.YMM()
		v.VUNPCKLPS(rows[i+1], rows[i], pairs[i])
		v.VUNPCKHPS(rows[i+1], rows[i], pairs[i+1])
	}
	for i := 0; i < 8; i += 4 {
		for j := range 4 {
			const low, high = 0x44, 0xee
			half := uint64(low)
			if j%2 == 1 {
				half = high
			}
			fours[i+j] = v.YMM()
			v.VSHUFPS(operand.Imm(half), pairs[i+j/2+2], pairs[i+j/2], fours[i+j])
		}
	}
	for j := range 8 {
		const low, high = 0x20, 0x31
		half := uint64(low)
		if j >= 4 {
			half = high
		}
		y := v.YMM()
		v.VPERM2F128(operand.Imm(half), fours[4+j%4], fours[j%4], y)
		v.VMOVUPS(y, operand.Mem{Base: dst})
		v.ADDQ(dstRow, dst)
	}
	v.ADDQ(operand.Imm(32), src)
	v.DECQ(blocks)
	v.JNZ(operand.LabelRef("loop"))
	v.finish()
}
