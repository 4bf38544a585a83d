package kernel

// The functions of widen_portable.go for columns [0, cols), 8 at a time where the processor has the registers. rows and cols are
// positive.

func widenFloats(dst panels, src []float32, srcRow, rows, cols int) {
	n, count, vectors := dst.vectors(rows, cols)
	if n > 0 {
		_ = src[(rows-1)*srcRow+n-1]
		widenFloatsAVX2(&dst.data[0], dst.row, dst.panel, &src[0], srcRow, rows, count, vectors)
	}
	widenFloatsPortable(dst, src, srcRow, rows, n, cols)
}

func widenHalves(dst panels, src []uint16, srcRow, rows, cols int) {
	n, count, vectors := dst.vectors(rows, cols)
	if n > 0 {
		_ = src[(rows-1)*srcRow+n-1]
		widenHalvesAVX2(&dst.data[0], dst.row, dst.panel, &src[0], srcRow, rows, count, vectors)
	}
	widenHalvesPortable(dst, src, srcRow, rows, n, cols)
}

func widenBytes(dst panels, src []int8, srcRow, rows, cols int, scales []float32, scaleRow int) {
	n, count, vectors := dst.vectors(rows, cols)
	if n > 0 {
		_, _ = src[(rows-1)*srcRow+n-1], scales[(rows-1)*scaleRow]
		widenBytesAVX2(&dst.data[0], dst.row, dst.panel, &src[0], srcRow, rows, count, vectors, &scales[0], scaleRow)
	}
	widenBytesPortable(dst, src, srcRow, rows, n, cols, scales, scaleRow)
}

// vectors is full, if there are registers for it, and checks the last element that is written.
func (p panels) vectors(rows, cols int) (n, count, vectors int) {
	if active.isa == isaPortable {
		return 0, 0, 0
	}
	if n, count, vectors = p.full(cols); n > 0 {
		_ = p.data[(count-1)*p.panel+(rows-1)*p.row+8*vectors-1]
	}
	return n, count, vectors
}

// full is how many of cols columns fill whole vectors and panels, from the first column of a panel on, and of how many panels and vectors.
func (p panels) full(cols int) (n, count, vectors int) {
	if p.width >= cols {
		return cols &^ 7, 1, cols / 8
	}
	if p.width%8 > 0 {
		return 0, 0, 0
	}
	return cols / p.width * p.width, cols / p.width, p.width / 8
}
