//go:build !amd64

package kernel

func widenFloats(dst panels, src []float32, srcRow, rows, cols int) {
	widenFloatsPortable(dst, src, srcRow, rows, 0, cols)
}

func widenHalves(dst panels, src []uint16, srcRow, rows, cols int) {
	widenHalvesPortable(dst, src, srcRow, rows, 0, cols)
}

func widenBytes(dst panels, src []int8, srcRow, rows, cols int, scales []float32, scaleRow int) {
	widenBytesPortable(dst, src, srcRow, rows, 0, cols, scales, scaleRow)
}
