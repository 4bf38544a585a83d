package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func writeTiles(ctx *build.Context) {
	tile{
		Context: ctx, name: "tileAVX512", rows: 12, lanes: 16, narrowest: 2, vector: z,
		doc: "tileAVX512 is the micro-kernel for tiles of up to 12 x 32, with 24 accumulators of 16 lanes.",
	}.write()
	tile{
		Context: ctx, name: "tileAVX2", rows: 6, lanes: 8, narrowest: 1, vector: y,
		maskTable: maskTable(ctx, "tileMasks", 16),
		doc:       "tileAVX2 is the micro-kernel for tiles of up to 6 x 16, with 12 accumulators of 8 lanes.",
	}.write()
}

func z(i int) reg.VecPhysical { return zs[i] }
func y(i int) reg.VecPhysical { return ys[i] }

var (
	zs = []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	}
	ys = []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}
)

// tile writes one micro-kernel: C = alpha*A*B + beta*C for a tile of C of up to rows x 2*lanes. There is an inner loop for every
// number of rows and of vectors of columns, so that no work is wasted at the edges of a matrix.
type tile struct {
	*build.Context
	name, doc   string
	rows, lanes int
	narrowest   int // vectors of columns at least
	vector      func(int) reg.VecPhysical
	maskTable   operand.Mem // 16 words of ones and 16 of zeros
}

// Registers of the loops. Three rows of A are reached from one pointer, by index times 0, 1 and 2. Strides are in bytes.
var (
	rowsLeft = reg.RAX
	cols     = reg.RBX
	steps    = reg.RCX
	b        = reg.RDX
	bRow     = reg.RDI
	aRow     = reg.R8
	aCol     = reg.R9
	a        = []reg.GPPhysical{reg.R10, reg.R11, reg.R12, reg.R13}
)

// Registers of the code that stores the tile.
var (
	c    = reg.R8
	cRow = reg.R9
	bits = reg.R10
)

// acc is the accumulator of row i, vector v. The two or more vectors after the accumulators are for B and A.
func (t tile) acc(i, v int) reg.VecPhysical { return t.vector(2*i + v) }
func (t tile) spare(i int) reg.VecPhysical  { return t.vector(2*t.rows + i) }

func (t tile) wide() bool { return t.lanes == 16 }

func (t tile) write() {
	t.Function(t.name)
	t.Attributes(attr.NOSPLIT)
	t.Doc(t.doc, "It computes C = alpha*A*B + beta*C for one tile of C of rows x cols. Element (i, p) of A is a[i*arow + p*acol];",
		"row p of B begins at b[p*brow] and is read in whole vectors. rows, cols and k are positive. With beta = 0 C is not read.")
	t.Pragma("noescape")
	t.SignatureExpr("func(rows, cols, k int, alpha float32, a *float32, arow, acol int, b *float32, brow int, beta float32, c *float32, ldc int)")

	t.Load(t.Param("rows"), rowsLeft)
	t.Load(t.Param("cols"), cols)
	t.Load(t.Param("k"), steps)
	t.Load(t.Param("a"), a[0])
	t.Load(t.Param("arow"), aRow)
	t.Load(t.Param("acol"), aCol)
	t.Load(t.Param("b"), b)
	t.Load(t.Param("brow"), bRow)
	for _, stride := range []reg.GPPhysical{aRow, aCol, bRow} {
		t.SHLQ(operand.Imm(2), stride)
	}
	for i := 1; i < (t.rows+2)/3; i++ {
		t.LEAQ(operand.Mem{Base: a[i-1], Index: aRow, Scale: 2}, a[i])
		t.ADDQ(aRow, a[i])
	}
	for i := range t.rows {
		for v := range 2 {
			t.VXORPS(t.acc(i, v), t.acc(i, v), t.acc(i, v))
		}
	}

	if t.narrowest == 1 {
		t.CMPQ(cols, operand.Imm(uint64(t.lanes)))
		t.JLE(operand.LabelRef("narrow"))
	}
	t.choose(2)
	if t.narrowest == 1 {
		t.Label("narrow")
		t.choose(1)
	}
	for vectors := 2; vectors >= t.narrowest; vectors-- {
		for rows := t.rows; rows >= 1; rows-- {
			t.loop(rows, vectors)
		}
		t.finish(vectors)
	}
	t.Label("done")
	t.VZEROUPPER()
	t.RET()
}

func loopName(rows, vectors int) string { return fmt.Sprintf("loop%dx%d", rows, vectors) }

// choose jumps to the loop for the number of rows, full tiles first.
func (t tile) choose(vectors int) {
	for rows := t.rows; rows > 1; rows-- {
		t.CMPQ(rowsLeft, operand.Imm(uint64(rows)))
		t.JEQ(operand.LabelRef(loopName(rows, vectors)))
	}
	t.JMP(operand.LabelRef(loopName(1, vectors)))
}

// loop adds the products of k steps to the accumulators.
func (t tile) loop(rows, vectors int) {
	t.Label(loopName(rows, vectors))
	for v := range vectors {
		t.VMOVUPS(operand.Mem{Base: b, Disp: v * t.lanes * 4}, t.spare(v))
	}
	rotating := 16 - 2*t.rows - 2
	if t.wide() {
		rotating = 32 - 2*t.rows - 2
	}
	for i := range rows {
		x := operand.Mem{Base: a[i/3]}
		if i%3 > 0 {
			x.Index, x.Scale = aRow, uint8(i%3)
		}
		element := t.spare(2 + i%rotating)
		t.VBROADCASTSS(x, element)
		for v := range vectors {
			t.VFMADD231PS(element, t.spare(v), t.acc(i, v))
		}
	}
	for i := range (rows + 2) / 3 {
		t.ADDQ(aCol, a[i])
	}
	t.ADDQ(bRow, b)
	t.DECQ(steps)
	t.JNZ(operand.LabelRef(loopName(rows, vectors)))
	t.JMP(operand.LabelRef(fmt.Sprintf("finish%d", vectors)))
}

// finish multiplies the accumulators by alpha and brings them to C in one of four ways.
func (t tile) finish(vectors int) {
	t.Label(fmt.Sprintf("finish%d", vectors))
	t.VBROADCASTSS(t.param("alpha"), t.spare(0))
	for i := range t.rows {
		for v := range vectors {
			t.VMULPS(t.spare(0), t.acc(i, v), t.acc(i, v))
		}
	}
	t.Load(t.Param("c"), c)
	t.Load(t.Param("ldc"), cRow)
	t.SHLQ(operand.Imm(2), cRow)
	// Shifting the sign out makes -0 equal to 0.
	t.MOVL(t.param("beta"), bits.As32())
	t.VBROADCASTSS(t.param("beta"), t.spare(0))
	t.SHLL(operand.Imm(1), bits.As32())
	t.JZ(operand.LabelRef(fmt.Sprintf("set%d", vectors)))

	t.CMPQ(cols, operand.Imm(uint64(t.lanes*vectors)))
	t.JNE(operand.LabelRef(fmt.Sprintf("addPart%d", vectors)))
	t.store(vectors, true, false)
	t.Label(fmt.Sprintf("addPart%d", vectors))
	t.loadMasks(vectors)
	t.store(vectors, true, true)

	t.Label(fmt.Sprintf("set%d", vectors))
	t.CMPQ(cols, operand.Imm(uint64(t.lanes*vectors)))
	t.JNE(operand.LabelRef(fmt.Sprintf("setPart%d", vectors)))
	t.store(vectors, false, false)
	t.Label(fmt.Sprintf("setPart%d", vectors))
	t.loadMasks(vectors)
	t.store(vectors, false, true)
}

// param is an argument as a memory operand.
func (t tile) param(name string) operand.Mem {
	p, err := t.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

var masks = []reg.OpmaskPhysical{reg.K1, reg.K2}

// loadMasks sets masks for the columns in use: K1 and K2, or without AVX-512 the spare registers 1 and 2.
func (t tile) loadMasks(vectors int) {
	if t.wide() {
		t.MOVL(operand.U32(0xffffffff), bits.As32())
		t.BZHIL(cols.As32(), bits.As32(), bits.As32())
		t.KMOVW(bits.As32(), masks[0])
		if vectors == 2 {
			t.SHRL(operand.Imm(16), bits.As32())
			t.KMOVW(bits.As32(), masks[1])
		}
		return
	}
	t.LEAQ(t.maskTable, bits)
	t.NEGQ(cols)
	for v := range vectors {
		t.VMOVUPS(operand.Mem{Base: bits, Index: cols, Scale: 4, Disp: 4 * t.lanes * (2 + v)}, t.spare(1+v))
	}
}

// store writes the accumulators row by row, and returns.
func (t tile) store(vectors int, add, part bool) {
	old := t.spare(3)
	for i := range t.rows {
		for v := range vectors {
			at := operand.Mem{Base: c, Disp: v * t.lanes * 4}
			if add {
				switch {
				case !part:
					t.VFMADD231PS(at, t.spare(0), t.acc(i, v))
				case t.wide():
					t.VMOVUPS_Z(at, masks[v], old)
				default:
					t.VMASKMOVPS(at, t.spare(1+v), old)
				}
				if part {
					t.VFMADD231PS(old, t.spare(0), t.acc(i, v))
				}
			}
			switch {
			case !part:
				t.VMOVUPS(t.acc(i, v), at)
			case t.wide():
				t.VMOVUPS(t.acc(i, v), masks[v], at)
			default:
				t.VMASKMOVPS(t.acc(i, v), t.spare(1+v), at)
			}
		}
		if i < t.rows-1 {
			t.DECQ(rowsLeft)
			t.JZ(operand.LabelRef("done"))
			t.ADDQ(cRow, c)
		}
	}
	t.JMP(operand.LabelRef("done"))
}
