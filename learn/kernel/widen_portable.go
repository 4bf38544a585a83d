package kernel

import "math"

// panels says where rows of weights go as float32: element (i, j) to data[j/width*panel + i*row + j%width].
type panels struct {
	data              []float32
	row, panel, width int
}

// flat is the destination of rows in one piece each.
func flat(data []float32, row, cols int) panels { return panels{data, row, 0, max(1, cols)} }

// at is the destination of the columns from j on.
func (p panels) at(j int) panels {
	p.data = p.data[j/p.width*p.panel+j%p.width:]
	return p
}

func (p panels) set(i, j int, x float32) { p.data[j/p.width*p.panel+i*p.row+j%p.width] = x }

// The functions below write columns [j0, j1) of rows of src, srcRow apart, to the panels.

func widenFloatsPortable(dst panels, src []float32, srcRow, rows, j0, j1 int) {
	for i := range rows {
		for j := j0; j < j1; j++ {
			dst.set(i, j, src[i*srcRow+j])
		}
	}
}

func widenHalvesPortable(dst panels, src []uint16, srcRow, rows, j0, j1 int) {
	for i := range rows {
		for j := j0; j < j1; j++ {
			dst.set(i, j, math.Float32frombits(uint32(src[i*srcRow+j])<<16))
		}
	}
}

// The bytes of row i count scales[i*scaleRow] each.
func widenBytesPortable(dst panels, src []int8, srcRow, rows, j0, j1 int, scales []float32, scaleRow int) {
	for i := range rows {
		for j := j0; j < j1; j++ {
			dst.set(i, j, scales[i*scaleRow]*float32(src[i*srcRow+j]))
		}
	}
}
