package main

import "fmt"

// neonTile writes the micro-kernel for NEON, as tile does for amd64: tiles of C of up to 12 x 8, or 12 x 4, with up to 24 accumulators of 4
// lanes. It stores whole vectors alone; narrower tiles of C are copied by its caller.
const (
	neonRows  = 12
	neonLanes = 4
)

// General registers: rows of A are in R0 to R11, and reached by one offset.
const (
	neonOffset = 12
	neonB      = 13
	neonBRow   = 14
	neonACol   = 15
	neonSteps  = 19
	neonHeight = 20
	neonC      = 21
	neonCRow   = 22
	neonWidth  = 23
)

func neonAcc(i, v int) vreg  { return vreg(2*i + v) }
func neonSpare(i int) vreg   { return vreg(2*neonRows + i) }
func neonElement(i int) vreg { return neonSpare(2 + i%6) }

func writeNEONTile(a *arm64) {
	a.function("tileNEON", "tileNEON is the micro-kernel for tiles of up to 12 x 8, with 24 accumulators of 4 lanes.\n"+
		"// It computes C = alpha*A*B + beta*C for one tile of C of rows x cols, where cols is 4 or 8. Element (i, p) of A is a[i*arow + p*acol];\n"+
		"// row p of B begins at b[p*brow]. rows and k are positive. With beta = 0 C is not read.",
		[]string{"rows int", "cols int", "k int", "alpha float32", "a *float32", "arow int", "acol int", "b *float32", "brow int", "beta float32", "c *float32", "ldc int"}, nil)
	a.pointer("rows", neonHeight)
	a.pointer("cols", neonWidth)
	a.pointer("k", neonSteps)
	a.pointer("a", 0)
	a.pointer("arow", neonCRow)
	a.pointer("acol", neonACol)
	a.pointer("b", neonB)
	a.pointer("brow", neonBRow)
	for _, stride := range []int{neonCRow, neonACol, neonBRow} {
		a.line("LSL $2, R%d, R%d", stride, stride)
	}
	for i := 1; i < neonRows; i++ {
		a.line("ADD R%d, R%d, R%d", neonCRow, i-1, i)
	}
	a.line("MOVD $0, R%d", neonOffset)
	for i := range 2 * neonRows {
		a.line("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
	a.line("CMP $%d, R%d", neonLanes, neonWidth)
	a.line("BLE narrow")
	a.chooseNEON(2)
	a.label("narrow")
	a.chooseNEON(1)
	for vectors := 2; vectors >= 1; vectors-- {
		for rows := neonRows; rows >= 1; rows-- {
			a.neonLoop(rows, vectors)
		}
		a.neonFinish(vectors)
	}
	a.label("done")
	a.line("RET")
}

// chooseNEON jumps to the loop for the number of rows, full tiles first.
func (a *arm64) chooseNEON(vectors int) {
	for rows := neonRows; rows > 1; rows-- {
		a.line("CMP $%d, R%d", rows, neonHeight)
		a.line("BEQ %s", loopName(rows, vectors))
	}
	a.line("B %s", loopName(1, vectors))
}

// neonLoop adds the products of k steps to the accumulators.
func (a *arm64) neonLoop(rows, vectors int) {
	a.label(loopName(rows, vectors))
	for v := range vectors {
		a.line("FMOVQ %d(R%d), F%d", 16*v, neonB, neonSpare(v))
	}
	for i := range rows {
		a.line("FMOVS (R%d)(R%d), F%d", i, neonOffset, neonElement(i))
		for v := range vectors {
			a.fmlaFirst(neonAcc(i, v), neonSpare(v), neonElement(i))
		}
	}
	a.line("ADD R%d, R%d", neonACol, neonOffset)
	a.line("ADD R%d, R%d", neonBRow, neonB)
	a.line("SUBS $1, R%d, R%d", neonSteps, neonSteps)
	a.line("BNE %s", loopName(rows, vectors))
	a.line("B finish%d", vectors)
}

// neonFinish multiplies the accumulators by alpha and brings them to C.
func (a *arm64) neonFinish(vectors int) {
	a.label(fmt.Sprintf("finish%d", vectors))
	a.line("FMOVS %s, F%d", a.at("alpha"), neonSpare(0))
	for i := range neonRows {
		for v := range vectors {
			a.fmulFirst(neonAcc(i, v), neonSpare(0))
		}
	}
	a.pointer("c", neonC)
	a.pointer("ldc", neonCRow)
	a.line("LSL $2, R%d, R%d", neonCRow, neonCRow)
	// Shifting the sign out makes -0 equal to 0.
	a.line("MOVWU %s, R9", a.at("beta"))
	a.line("FMOVS %s, F%d", a.at("beta"), neonSpare(0))
	a.line("LSLW $1, R9, R9")
	a.line("CBZW R9, set%d", vectors)
	a.neonStore(vectors, true)
	a.label(fmt.Sprintf("set%d", vectors))
	a.neonStore(vectors, false)
}

// neonStore writes the accumulators row by row, and returns.
func (a *arm64) neonStore(vectors int, add bool) {
	for i := range neonRows {
		for v := range vectors {
			if add {
				a.line("FMOVQ %d(R%d), F%d", 16*v, neonC, neonSpare(1+v))
				a.fmlaFirst(neonAcc(i, v), neonSpare(1+v), neonSpare(0))
			}
			a.line("FMOVQ F%d, %d(R%d)", neonAcc(i, v), 16*v, neonC)
		}
		if i < neonRows-1 {
			a.line("SUBS $1, R%d, R%d", neonHeight, neonHeight)
			a.line("BEQ done")
			a.line("ADD R%d, R%d", neonCRow, neonC)
		}
	}
	a.line("B done")
}
