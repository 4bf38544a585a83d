package kernel

import (
	"fmt"
	"math"
	"strings"
)

// DType is how the elements of a frozen matrix are stored.
type DType int

const (
	Float32  DType = iota
	BFloat16       // the upper half of a float32: 8 bits of precision
	Int8           // a byte, with a float32 scale for every 64 of a row: about 1.06 bytes an element
	W8A8           // as Int8, twice, along either way of multiplying; products round the other operand to bytes too
)

var dtypeNames = []string{Float32: "fp32", BFloat16: "bf16", Int8: "int8", W8A8: "w8a8"}

// DTypes names the ways to store, most precise first.
func DTypes() []string { return dtypeNames }

func (d DType) String() string { return dtypeNames[d] }

// ParseDType finds a DType by its name.
func ParseDType(name string) (DType, error) {
	for d, n := range dtypeNames {
		if n == name {
			return DType(d), nil
		}
	}
	return 0, fmt.Errorf("unknown type of numbers %q; there are %s", name, strings.Join(dtypeNames, ", "))
}

// roundBFloat16 is the nearest bfloat16, the even one of two; NaN stays NaN.
func roundBFloat16(x float32) uint16 {
	bits := math.Float32bits(x)
	if x != x {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// OnThisMachine is d, or Int8 in place of W8A8 where the kernel in use has no instructions for products of bytes: they would take many times
// what widening takes.
func (d DType) OnThisMachine() DType {
	if d == W8A8 && !bytesFast() {
		return Int8
	}
	return d
}

// Shortfall says, to who asked for d, that this machine takes something else, and why; it is empty where d is what is taken.
func (d DType) Shortfall() string {
	taken := d.OnThisMachine()
	if taken == d {
		return ""
	}
	return fmt.Sprintf("%v needs a processor with AVX-512 VNNI: here bases are stored as %v instead, and steps are about as fast as with %v", d, taken, Float32)
}

// scaleGroup is how many neighbours of a row share a scale.
const scaleGroup = 64

// roundInt8 writes x, at most scaleGroup values, as multiples of the scale that it returns.
func roundInt8(q []int8, x []float32) (scale float32) {
	var largest float32
	for _, v := range x {
		largest = max(largest, v, -v)
	}
	if scale = largest / 127; scale == 0 {
		clear(q)
		return 0
	}
	for i, v := range x {
		q[i] = int8(max(-127, min(127, math.RoundToEven(float64(v)/float64(scale)))))
	}
	return scale
}
