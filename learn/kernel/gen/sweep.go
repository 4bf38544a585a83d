package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vectors writes functions over slices of float32 with registers of 8 lanes.
type vectors struct {
	*build.Context
	masks     operand.Mem
	constants map[uint32]operand.Mem
}

// words adds a table of 32-bit words to the read-only data.
func words(ctx *build.Context, name string, values ...uint32) operand.Mem {
	table := ctx.StaticGlobal(name)
	ctx.DataAttributes(attr.RODATA | attr.NOPTR)
	for _, w := range values {
		ctx.AppendDatum(operand.U32(w))
	}
	return table
}

// maskTable is n words of ones and then n zeros: a mask of the first i lanes begins at word n-i.
func maskTable(ctx *build.Context, name string, n int) operand.Mem {
	table := make([]uint32, 2*n)
	for i := range n {
		table[i] = math.MaxUint32
	}
	return words(ctx, name, table...)
}

// all is x in all lanes, in memory.
func (v *vectors) all(x float64) operand.Mem { return v.allBits(math.Float32bits(float32(x))) }

func (v *vectors) allBits(bits uint32) operand.Mem {
	if _, ok := v.constants[bits]; !ok {
		v.constants[bits] = words(v.Context, fmt.Sprintf("lanes%08x", bits), bits, bits, bits, bits, bits, bits, bits, bits)
	}
	return v.constants[bits]
}

func (v *vectors) function(name, signature, doc string) {
	v.Function(name)
	v.Attributes(attr.NOSPLIT)
	v.Doc(doc)
	v.Pragma("noescape")
	v.SignatureExpr(signature)
}

func (v *vectors) finish() {
	v.VZEROUPPER()
	v.RET()
}

// argument is a float32 argument in all lanes.
func (v *vectors) argument(name string) reg.VecVirtual {
	p, err := v.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	y := v.YMM()
	v.VBROADCASTSS(p.Addr, y)
	return y
}

func (v *vectors) zero() reg.VecVirtual {
	y := v.YMM()
	v.VXORPS(y, y, y)
	return y
}

func (v *vectors) copyOf(x reg.VecVirtual) reg.VecVirtual {
	y := v.YMM()
	v.VMOVAPS(x, y)
	return y
}

// step is one pass of a sweep: 8 elements of each slice, or fewer at the end.
type step struct {
	*vectors
	pointers []reg.GPVirtual
	part     bool
	mask     reg.VecVirtual // lanes in use, if part
}

// load gives the elements of slice i; unused lanes are 0.
func (s step) load(i int) reg.VecVirtual {
	y := s.YMM()
	if s.part {
		s.VMASKMOVPS(operand.Mem{Base: s.pointers[i]}, s.mask, y)
	} else {
		s.VMOVUPS(operand.Mem{Base: s.pointers[i]}, y)
	}
	return y
}

func (s step) store(y reg.VecVirtual, i int) {
	if s.part {
		s.VMASKMOVPS(y, s.mask, operand.Mem{Base: s.pointers[i]})
	} else {
		s.VMOVUPS(y, operand.Mem{Base: s.pointers[i]})
	}
}

// used clears the unused lanes of y.
func (s step) used(y reg.VecVirtual) reg.VecVirtual {
	if s.part {
		s.VANDPS(s.mask, y, y)
	}
	return y
}

// sweep writes a loop over slices of n elements, by the names of their arguments.
func (v *vectors) sweep(slices []string, body func(s step)) {
	s := step{vectors: v}
	for _, name := range slices {
		p := v.GP64()
		v.Load(v.Param(name), p)
		s.pointers = append(s.pointers, p)
	}
	n := v.GP64()
	v.Load(v.Param("n"), n)
	v.Label("loop")
	v.CMPQ(n, operand.Imm(8))
	v.JL(operand.LabelRef("rest"))
	body(s)
	for _, p := range s.pointers {
		v.ADDQ(operand.Imm(32), p)
	}
	v.SUBQ(operand.Imm(8), n)
	v.JMP(operand.LabelRef("loop"))

	v.Label("rest")
	v.TESTQ(n, n)
	v.JZ(operand.LabelRef("done"))
	s.part, s.mask = true, v.YMM()
	table := v.GP64()
	v.LEAQ(v.masks, table)
	v.NEGQ(n)
	v.VMOVUPS(operand.Mem{Base: table, Index: n, Scale: 4, Disp: 32}, s.mask)
	body(s)
	v.Label("done")
}

// reduce joins the lanes of y by an operation such as VADDPS and returns the result as the named value.
func (v *vectors) reduce(y reg.VecVirtual, operation func(...operand.Op), result string) {
	x, high := y.AsX(), v.XMM()
	v.VEXTRACTF128(operand.Imm(1), y, high)
	operation(high, x, x)
	v.VMOVHLPS(x, x, high)
	operation(high, x, x)
	v.VMOVSHDUP(x, high)
	operation(high, x, x)
	v.Store(x, v.Return(result))
}
