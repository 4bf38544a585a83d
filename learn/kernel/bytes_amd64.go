package kernel

import "golang.org/x/sys/cpu"

// bytesFast tells whether the kernel in use has instructions for products of bytes.
func bytesFast() bool { return active.isa == isaAVX512 && cpu.X86.HasAVX512VNNI }

func (t *byteTile) run() {
	if !bytesFast() {
		t.portable()
		return
	}
	// The assembly checks nothing: these are the last elements that it touches.
	last := (t.groups-1)*t.scaleRow + t.rows - 1
	_ = t.a[(t.rows-1)*t.arow+t.groups*scaleGroup-1]
	_, _ = t.ascale[last], t.correction[last]
	_, _ = t.b[t.groups*scaleGroup*byteCols-1], t.bscale[t.groups*byteCols-1]
	_ = t.c[(t.rows-1)*t.ldc+t.cols-1]
	tileVNNI(t.rows, t.cols, t.groups, t.alpha, &t.a[0], t.arow, &t.ascale[0], &t.correction[0], t.scaleRow, &t.b[0], &t.bscale[0],
		&t.sums[0], t.beta, &t.c[0], t.ldc)
}

func roundToBytes(q []int8, scale []float32, correction []int32, scaleRow int, x []float32) {
	if groups := len(x) / scaleGroup; groups > 0 && bytesFast() {
		last := (groups - 1) * scaleRow
		_, _, _ = q[groups*scaleGroup-1], scale[last], correction[last]
		roundToBytesVNNI(&q[0], &scale[0], &correction[0], scaleRow, &x[0], groups)
		if len(x)%scaleGroup == 0 {
			return
		}
		q, x = q[groups*scaleGroup:], x[groups*scaleGroup:]
		scale, correction = scale[groups*scaleRow:], correction[groups*scaleRow:]
	}
	roundToBytesPortable(q, scale, correction, scaleRow, x)
}
