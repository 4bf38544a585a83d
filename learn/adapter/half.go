package adapter

import (
	"encoding/binary"
	"math"
)

// floatSizes are the types that can be read, in bytes an element.
var floatSizes = map[string]int64{"F32": 4, "F16": 2, "BF16": 2}

// appendFloats decodes little-endian values of type dtype; every F16 and BF16 value has its exact float32.
func appendFloats(data []float32, raw []byte, dtype string) []float32 {
	switch dtype {
	case "F16":
		for ; len(raw) >= 2; raw = raw[2:] {
			data = append(data, fromHalf(binary.LittleEndian.Uint16(raw)))
		}
	case "BF16":
		for ; len(raw) >= 2; raw = raw[2:] {
			data = append(data, fromBF16(binary.LittleEndian.Uint16(raw)))
		}
	default:
		for ; len(raw) >= 4; raw = raw[4:] {
			data = append(data, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
	}
	return data
}

// fromHalf widens an IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits.
func fromHalf(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent, fraction := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0: // zero and subnormals, a multiple of 2^-24
		v := float32(fraction) * 0x1p-24
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f: // infinities and NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// toBF16 rounds a finite value to the nearest bfloat16, ties to even; what would become infinite becomes the largest finite one.
func toBF16(x float32) uint16 {
	b := math.Float32bits(x)
	r := uint16((b + 0x7fff + b>>16&1) >> 16)
	if r&0x7f80 == 0x7f80 {
		r--
	}
	return r
}

func fromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }
