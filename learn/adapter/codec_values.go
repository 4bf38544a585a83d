package adapter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/mlecs/mlecs/learn/kernel"
)

// packBF16 puts the upper bytes together: signs and exponents are much alike, and compress.
func packBF16(values []float32) []byte {
	n := len(values)
	out := make([]byte, 2*n)
	for i, x := range values {
		b := toBF16(x)
		out[i], out[n+i] = byte(b>>8), byte(b)
	}
	return out
}

// unpackBF16 fills values from a payload of twice as many bytes.
func unpackBF16(values []float32, payload []byte) {
	upper, lower := payload[:len(values)], payload[len(values):][:len(values)]
	for i := range values {
		values[i] = fromBF16(uint16(upper[i])<<8 | uint16(lower[i]))
	}
}

// groupSize is how many values at most have one scale.
const groupSize = 64

// grouping cuts the values of a tensor, in row-major order, into groups. Rows (the last dimension) are cut every groupSize values; of
// rows shorter than that as many whole ones as fit are one group, or the scales of LoRA's B would take more than its values.
type grouping struct {
	stretch int // values within which groups are cut: a row, or all
	size    int // of a group, but for the last of a stretch
	per     int // groups of a stretch
	count   int // groups of all
}

func groupsOf(t Tensor) grouping {
	count, _ := elements(t.Shape)
	n, row := int(count), 1
	if len(t.Shape) > 0 {
		row = t.Shape[len(t.Shape)-1]
	}
	if n == 0 {
		return grouping{}
	}
	g := grouping{stretch: row, size: groupSize}
	if row < groupSize {
		g.stretch, g.size = n, groupSize/row*row
	}
	g.per = (g.stretch + g.size - 1) / g.size
	g.count = n / g.stretch * g.per
	return g
}

// at gives the bounds of group i.
func (g grouping) at(i int) (from, to int) {
	start := i / g.per * g.stretch
	from = start + i%g.per*g.size
	return from, min(from+g.size, start+g.stretch)
}

// mostSteps is the largest quantised value; its negative is the smallest.
func mostSteps(codec string) int {
	if codec == CodecInt4 {
		return 7
	}
	return 127
}

// stepScale is the smallest bfloat16 by most times which largest, not negative, can be said.
func stepScale(largest float32, most int) uint16 {
	exact := float64(largest) / float64(most)
	b := uint16(math.Float32bits(float32(exact)) >> 16)
	if float64(fromBF16(b)) < exact {
		b++
	}
	return b
}

// packSteps quantises every group symmetrically to multiples of its scale.
func packSteps(c Component, codec string) []byte {
	most := mostSteps(codec)
	var scales []byte
	steps := make([]int8, 0, c.Params())
	for _, t := range c.Tensors {
		groups := groupsOf(t)
		for i := range groups.count {
			from, to := groups.at(i)
			var largest float32
			for _, x := range t.Data[from:to] {
				largest = max(largest, float32(math.Abs(float64(x))))
			}
			b := stepScale(largest, most)
			scales = binary.LittleEndian.AppendUint16(scales, b)
			scale := float64(fromBF16(b))
			for _, x := range t.Data[from:to] {
				q := 0.0
				if scale > 0 {
					q = math.RoundToEven(float64(x) / scale)
				}
				steps = append(steps, int8(max(-float64(most), min(float64(most), q))))
			}
		}
	}
	out := scales
	if codec == CodecInt8 {
		for _, q := range steps {
			out = append(out, byte(q))
		}
		return out
	}
	if len(steps)%2 == 1 {
		steps = append(steps, 0)
	}
	for pair := range slices.Chunk(steps, 2) {
		out = append(out, byte(pair[0]+8)|byte(pair[1]+8)<<4)
	}
	return out
}

// unpackSteps fills c from a payload of the right length.
func unpackSteps(c Component, payload []byte, codec string) error {
	groups := 0
	for _, t := range c.Tensors {
		groups += groupsOf(t).count
	}
	scales, steps := payload[:2*groups], payload[2*groups:]
	if i := beyondSteps(steps, codec); i >= 0 {
		most := mostSteps(codec)
		return fmt.Errorf("value %d has %d steps; want %d to %d", i, -most-1, -most, most)
	}
	if n := int(c.Params()); codec == CodecInt4 && n%2 == 1 && steps[n/2]>>4 != 8 {
		return errors.New("the payload does not end with a filling of 8")
	}
	first := 0 // of the tensor's values, among all
	for _, t := range c.Tensors {
		groups := groupsOf(t)
		for i := range groups.count {
			if scale := fromBF16(binary.LittleEndian.Uint16(scales[2*i:])); math.Signbit(float64(scale)) || !(scale <= math.MaxFloat32) {
				return fmt.Errorf("tensor %q: a scale is %v", t.Name, scale)
			}
		}
		kernel.Parallel(groups.count, rangeValues/groupSize, func(lo, hi int) {
			var room [groupSize]byte
			for i := lo; i < hi; i++ {
				from, to := groups.at(i)
				own := stepsOf(room[:], steps, first+from, first+to, codec)
				unpackGroup(t.Data[from:to], own, fromBF16(binary.LittleEndian.Uint16(scales[2*i:])))
			}
		})
		scales = scales[2*groups.count:]
		first += len(t.Data)
	}
	return nil
}

// beyondSteps is the index of the first value with one step less than a codec allows, -1 if there is none.
func beyondSteps(steps []byte, codec string) int {
	if codec == CodecInt8 {
		return bytes.IndexByte(steps, 1<<7)
	}
	for i, b := range steps {
		switch {
		case b&15 == 0:
			return 2 * i
		case b>>4 == 0:
			return 2*i + 1
		}
	}
	return -1
}

// stepsOf gives the steps of the values from to to-1 as signed bytes, in room if they are not there as such.
func stepsOf(room, steps []byte, from, to int, codec string) []byte {
	if codec == CodecInt8 {
		return steps[from:to]
	}
	room = room[:to-from]
	for i := range room {
		at := from + i
		room[i] = steps[at/2]>>(at%2*4)&15 - 8
	}
	return room
}

// unpackGroup computes values = scale*steps, which float32 holds exactly, but that a scale rounded up may lead beyond the largest one.
func unpackGroup(values []float32, steps []byte, scale float32) {
	kernel.Dequantise(values, steps, scale)
	if float64(scale)*127 <= math.MaxFloat32 {
		return
	}
	for i, v := range values {
		values[i] = max(-math.MaxFloat32, min(math.MaxFloat32, v))
	}
}

// largest marks the given fraction of values, rounded up: the largest, of equally large ones the first, and no zeros.
func largest(values []float32, fraction float64) (kept []bool, count int) {
	sizes := make([]uint32, len(values))
	for i, x := range values {
		sizes[i] = math.Float32bits(x) &^ (1 << 31) // in the order of magnitudes
	}
	kept = make([]bool, len(values))
	k := min(len(values), int(math.Ceil(fraction*float64(len(values)))))
	if k == 0 {
		return kept, 0
	}
	sorted := slices.Clone(sizes)
	slices.Sort(sorted)
	least := sorted[len(sorted)-k]
	equal := k // how many of size least are to be kept
	for _, s := range sorted[len(sorted)-k:] {
		if s > least {
			equal--
		}
	}
	for i, s := range sizes {
		if s == least {
			equal--
		}
		if s < least || s == 0 || s == least && equal < 0 {
			continue
		}
		kept[i] = true
		count++
	}
	return kept, count
}

// packTopK keeps the given fraction of the values.
func packTopK(values []float32, fraction float64) (payload []byte, kept uint64) {
	marks, count := largest(values, fraction)
	chosen := make([]float32, 0, count)
	var gaps []byte
	next := 0
	for i, mark := range marks {
		if mark {
			chosen = append(chosen, values[i])
			gaps = binary.AppendUvarint(gaps, uint64(i-next))
			next = i + 1
		}
	}
	return append(packBF16(chosen), gaps...), uint64(count)
}

// unpackTopK fills values, which are zero, from a payload that is long enough for kept values.
func unpackTopK(values []float32, payload []byte, kept int) error {
	chosen := make([]float32, kept)
	unpackBF16(chosen, payload[:2*kept])
	r := &BlobReader{Rest: payload[2*kept:]}
	next := 0
	for _, x := range chosen {
		gap := r.Uvarint(math.MaxInt32)
		if r.Err != nil {
			return fmt.Errorf("places: %w", r.Err)
		}
		if gap >= uint64(len(values)-next) {
			return fmt.Errorf("a place is beyond the %d values", len(values))
		}
		next += int(gap)
		values[next] = x
		next++
	}
	if len(r.Rest) > 0 {
		return fmt.Errorf("%d bytes follow the last place", len(r.Rest))
	}
	return nil
}
