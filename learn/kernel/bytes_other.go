//go:build !amd64

package kernel

func bytesFast() bool { return false }

func (t *byteTile) run() { t.portable() }

func roundToBytes(q []int8, scale []float32, correction []int32, scaleRow int, x []float32) {
	roundToBytesPortable(q, scale, correction, scaleRow, x)
}
