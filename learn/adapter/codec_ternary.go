package adapter

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

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

// ternaryMap codes which values of a component are kept, one tensor after the other. What is likely depends on the neighbours before it:
// in the same row, and in the rows above. A row is what one index of the first axis holds, e.g. the weights of one unit.
type ternaryMap struct {
	chances [9]chance
	kept    []bool // of the tensor
	row     int
}

func newTernaryMap(kept, n uint64) *ternaryMap {
	m := &ternaryMap{}
	for i := range m.chances {
		m.chances[i] = newChance(kept, n)
	}
	return m
}

// begin starts a tensor.
func (m *ternaryMap) begin(t Tensor) {
	n, _ := elements(t.Shape)
	m.kept, m.row = make([]bool, n), max(int(n), 1)
	if len(t.Shape) > 1 {
		m.row = max(int(n)/max(t.Shape[0], 1), 1)
	}
}

// at is the chance for value i.
func (m *ternaryMap) at(i int) *chance {
	context := 0
	for back := 1; back <= 2; back++ {
		if i%m.row >= back && m.kept[i-back] {
			context++
		}
		if i >= back*m.row && m.kept[i-back*m.row] {
			context += 3
		}
	}
	return &m.chances[context]
}

// packTernary keeps the given fraction of the component's values, as signs with one size for each tensor: the mean of those kept.
func packTernary(c Component, fraction float64) (payload []byte, kept uint64) {
	marks, count := largest(flat(c), fraction)
	var scales []byte
	from := 0
	for _, t := range c.Tensors {
		var sum float64
		n := 0
		for i, x := range t.Data {
			if marks[from+i] {
				sum += math.Abs(float64(x))
				n++
			}
		}
		scales = binary.LittleEndian.AppendUint16(scales, toBF16(float32(sum/float64(max(n, 1)))))
		from += len(t.Data)
	}
	e, m := newRangeEncoder(scales), newTernaryMap(uint64(count), uint64(len(marks)))
	from = 0
	for _, t := range c.Tensors {
		m.begin(t)
		for i, x := range t.Data {
			m.kept[i] = marks[from+i]
			e.bit(m.kept[i], m.at(i))
			if m.kept[i] {
				e.even(x < 0)
			}
		}
		from += len(t.Data)
	}
	return e.finish(), uint64(count)
}

// unpackTernary fills c, whose values are zero, from a payload that holds at least the scales.
func unpackTernary(c Component, payload []byte, kept uint64) error {
	scales := payload[:2*len(c.Tensors)]
	d, m := newRangeDecoder(payload[len(scales):]), newTernaryMap(kept, uint64(c.Params()))
	for k, t := range c.Tensors {
		scale := fromBF16(binary.LittleEndian.Uint16(scales[2*k:]))
		if s := float64(scale); math.Signbit(s) || math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("tensor %q: the size of its values is %v", t.Name, scale)
		}
		m.begin(t)
		for i := range t.Data {
			if m.kept[i] = d.bit(m.at(i)); !m.kept[i] {
				continue
			}
			kept--
			t.Data[i] = scale
			if d.even() {
				t.Data[i] = -scale
			}
		}
		if d.short {
			return fmt.Errorf("tensor %q: the values end early", t.Name)
		}
	}
	if kept != 0 || len(d.rest) > 0 || d.code != 0 {
		return fmt.Errorf("%d values too few, %d bytes too many, or an end of %d", int64(kept), len(d.rest), d.code)
	}
	return nil
}
