package adapter

import (
	"fmt"
	"math"
)

// What training makes of weights has few directions. The codec lowrank writes each tensor as a sum of terms scale * u v^T, where u has an
// integer for every index of the first axis and v one for every combination of the others (a tensor of one axis is one row). Each term is
// found by power iteration on what the terms before it have left, so that it also mends what their rounding lost; the next one goes
// where it takes away most squared error a byte, until the bytes that the setting allows are used up (PowerSGD, Vogels et al., NeurIPS
// 2019, has the low ranks and the error feedback; the integers and the choice among tensors are ours).
//
// Conversions around products keep compilers from fusing them with a sum: equal components give equal bytes on every machine.
const (
	maxTerms       = 64   // of a tensor: what a receiver may have to multiply out
	maxStep        = 15   // of an integer's magnitude
	stepOfRMS      = 0.75 // steps of rounding, in root mean squares of a vector
	bitsOfStep     = 2.6  // what an integer costs, about
	bitsOfTerm     = 20
	bitsOfTensor   = 4
	iterations     = 6
	maxLowRankPart = 0.25 // of the bytes as float32
)

// term is one of a tensor's.
type term struct {
	scale float32 // a bfloat16, more than 0
	u, v  []int8
}

// sides are the lengths of u and v for a tensor.
func sides(t Tensor) (rows, columns int) {
	count, _ := elements(t.Shape)
	if n := int(count); len(t.Shape) < 2 || n == 0 {
		return 1, n
	}
	return t.Shape[0], int(count) / t.Shape[0]
}

// remainder is what is left of a tensor, with the term that would take most of it.
type remainder struct {
	rows, columns int
	values        []float64
	terms         []term
	next          term
	gain          float64 // squared error that next takes away; 0: there is no next
	bits          float64 // that next costs
}

func newRemainder(t Tensor) *remainder {
	r := &remainder{values: make([]float64, len(t.Data))}
	r.rows, r.columns = sides(t)
	for i, x := range t.Data {
		r.values[i] = float64(x)
	}
	r.bits = bitsOfTerm + float64(bitsOfStep*float64(r.rows+r.columns))
	r.find()
	return r
}

// find looks for the next term.
func (r *remainder) find() {
	r.gain = 0
	if len(r.terms) == maxTerms || len(r.values) == 0 {
		return
	}
	u, v := make([]float64, r.rows), r.longest()
	for range iterations {
		r.left(u, v)
		if !normalise(u) {
			return
		}
		r.right(v, u)
		if !normalise(v) {
			return
		}
	}
	r.left(u, v)
	steps, size := roundSteps(u, stepOfRMS*rms(u))
	if size == 0 {
		return
	}
	for i, q := range steps {
		u[i] = float64(q)
	}
	r.right(v, u)
	for j := range v {
		v[j] /= size // what fits the rounded u best
	}
	scale := fromBF16(toBF16(float32(stepOfRMS * rms(v))))
	across, sizeAcross := roundSteps(v, float64(scale))
	if sizeAcross == 0 {
		return
	}
	r.next = term{scale, steps, across}
	s := float64(scale)
	inner := 0.0
	for j, q := range across {
		inner += float64(v[j] * size * float64(q))
	}
	r.gain = float64(2*s*inner) - float64(s*s*size*sizeAcross)
}

// take adds the next term, and looks for the one after it.
func (r *remainder) take() {
	r.terms = append(r.terms, r.next)
	r.next.add(r.values, -1)
	r.find()
}

// longest is the row of the largest norm.
func (r *remainder) longest() []float64 {
	best, most := 0, -1.0
	for i := range r.rows {
		var sum float64
		for _, x := range r.values[i*r.columns : (i+1)*r.columns] {
			sum += float64(x * x)
		}
		if sum > most {
			best, most = i, sum
		}
	}
	return append([]float64(nil), r.values[best*r.columns:(best+1)*r.columns]...)
}

// left sets u to R v, right sets v to R^T u.
func (r *remainder) left(u, v []float64) {
	for i := range u {
		var sum float64
		for j, x := range r.values[i*r.columns : (i+1)*r.columns] {
			sum += float64(x * v[j])
		}
		u[i] = sum
	}
}

func (r *remainder) right(v, u []float64) {
	clear(v)
	for i, w := range u {
		if w == 0 {
			continue
		}
		for j, x := range r.values[i*r.columns : (i+1)*r.columns] {
			v[j] += float64(x * w)
		}
	}
}

// add adds the term to values, times a factor of 1 or -1.
func (t term) add(values []float64, factor float64) {
	scale := factor * float64(t.scale)
	for i, a := range t.u {
		if a == 0 {
			continue
		}
		row := values[i*len(t.v) : (i+1)*len(t.v)]
		for j, b := range t.v {
			row[j] += float64(scale * float64(int(a)*int(b)))
		}
	}
}

func rms(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v * v)
	}
	return math.Sqrt(sum / float64(max(len(x), 1)))
}

// normalise makes the root mean square 1; false if it cannot.
func normalise(x []float64) bool {
	size := rms(x)
	if !(size > 0) || math.IsInf(size, 0) {
		return false
	}
	for i := range x {
		x[i] /= size
	}
	return true
}

// roundSteps gives x in steps, and the sum of their squares.
func roundSteps(x []float64, step float64) (steps []int8, squares float64) {
	steps = make([]int8, len(x))
	if !(step > 0) {
		return steps, 0
	}
	for i, v := range x {
		q := max(-maxStep, min(maxStep, math.RoundToEven(v/step)))
		steps[i] = int8(q)
		squares += float64(q * q)
	}
	return steps, squares
}

// packLowRank writes the terms of all tensors, in about fraction of the bytes that the component has as float32.
func packLowRank(c Component, fraction float64) []byte {
	left := float64(fraction*32*float64(c.Params())) - 40 // bits; the end takes 40
	all := make([]*remainder, len(c.Tensors))
	for i, t := range c.Tensors {
		all[i] = newRemainder(t)
		left -= bitsOfTensor
	}
	for {
		var best *remainder
		for _, r := range all {
			if r.gain > 0 && r.bits <= left && (best == nil || r.gain*best.bits > best.gain*r.bits) {
				best = r
			}
		}
		if best == nil {
			break
		}
		left -= best.bits
		best.take()
	}
	e, m := newRangeEncoder(nil), newTermModel()
	for _, r := range all {
		for k := range maxTerms {
			more := k < len(r.terms)
			e.bit(more, &m.more)
			if !more {
				break
			}
			t := r.terms[k]
			for bit := range 16 {
				e.even(toBF16(t.scale)>>bit&1 == 1)
			}
			for _, q := range t.u {
				m.encode(e, q)
			}
			for _, q := range t.v {
				m.encode(e, q)
			}
		}
	}
	return e.finish()
}

// unpackLowRank fills c, whose values are zero.
func unpackLowRank(c Component, payload []byte) error {
	d, m := newRangeDecoder(payload), newTermModel()
	for _, x := range c.Tensors {
		rows, columns := sides(x)
		var values []float64
		for k := 0; k < maxTerms && d.bit(&m.more); k++ {
			var scale uint16
			for bit := range 16 {
				if d.even() {
					scale |= 1 << bit
				}
			}
			t := term{scale: fromBF16(scale), u: make([]int8, rows), v: make([]int8, columns)}
			if s := float64(t.scale); !(s > 0) || math.IsInf(s, 0) {
				return fmt.Errorf("tensor %q: a scale is %v", x.Name, t.scale)
			}
			for i := range t.u {
				t.u[i] = m.decode(d)
			}
			for j := range t.v {
				t.v[j] = m.decode(d)
			}
			if d.short {
				return fmt.Errorf("tensor %q: its terms end early", x.Name)
			}
			if values == nil {
				values = make([]float64, len(x.Data))
			}
			t.add(values, 1)
		}
		for i, v := range values {
			x.Data[i] = float32(max(-math.MaxFloat32, min(math.MaxFloat32, v)))
		}
	}
	if d.short || len(d.rest) > 0 || d.code != 0 {
		return fmt.Errorf("the terms end early, or %d bytes and %d follow them", len(d.rest), d.code)
	}
	return nil
}

// termModel are the chances of what terms are made of: whether there is one more, whether a magnitude is larger than 0, 1, 2, ...
type termModel struct {
	more   chance
	larger [maxStep]chance
}

func newTermModel() *termModel {
	m := &termModel{more: 1 << (chanceBits - 1)}
	for i := range m.larger {
		m.larger[i] = 1 << (chanceBits - 1)
	}
	return m
}

func (m *termModel) encode(e *rangeEncoder, q int8) {
	size := max(int(q), -int(q))
	for i := range m.larger {
		e.bit(size > i, &m.larger[i])
		if size == i {
			break
		}
	}
	if size > 0 {
		e.even(q < 0)
	}
}

func (m *termModel) decode(d *rangeDecoder) int8 {
	size := 0
	for size < maxStep && d.bit(&m.larger[size]) {
		size++
	}
	if size > 0 && d.even() {
		size = -size
	}
	return int8(size)
}
