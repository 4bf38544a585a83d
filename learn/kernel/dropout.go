package kernel

import "math/bits"

// Mask decides which elements dropout zeroes: element i depends on the keys and i alone, so that a mask need not be kept, and is
// the same on every machine and for every number of threads. The rest are scaled to keep the mean.
type Mask struct {
	key0, key1 uint32
	limit      uint32 // of 2^24
	keep       float32
}

// NewMask makes a mask that drops elements with probability rate, from 0 to less than 1. Masks of different seeds or streams are
// independent.
func NewMask(rate float64, seed, stream uint64) Mask {
	limit := uint32(rate * (1 << 24))
	high, low := bits.Mul64(seed^0x9e3779b97f4a7c15, stream^0xd1342543de82ef95)
	key := (high ^ low ^ seed) * 0xff51afd7ed558ccd
	key ^= key >> 33
	return Mask{key0: uint32(key), key1: uint32(key >> 32), limit: limit, keep: float32(1<<24) / float32(1<<24-limit)}
}

// The hash is a linear sequence mixed as by lowbias32 (Wellons, "Prospecting for Hash Functions"), with a second key in between.
const (
	dropoutStride = 0x9e3779b9
	dropoutFirst  = 0x21f0aaad
	dropoutSecond = 0x735a2d97
)

func (m *Mask) dropped(i uint32) bool {
	h := i*dropoutStride + m.key0
	h ^= h >> 16
	h *= dropoutFirst
	h ^= m.key1
	h ^= h >> 15
	h *= dropoutSecond
	h ^= h >> 15
	return h>>8 < m.limit
}

// Dropout computes dst[i] = mask[i] * x[i] over the length of dst. dst may be x.
func Dropout(dst, x []float32, m Mask) {
	checkLen("x", len(x), len(dst))
	s := newSweep(func(s *sweep, lo, hi int) { dropout(s.a[lo:hi], s.b[lo:hi], uint32(lo), &s.mask) })
	s.a, s.b, s.mask = dst, x, m
	s.do(len(dst), 1)
}

// DropoutAdd computes dst[i] += mask[i] * x[i] over the length of dst.
func DropoutAdd(dst, x []float32, m Mask) {
	checkLen("x", len(x), len(dst))
	s := newSweep(func(s *sweep, lo, hi int) { dropoutAdd(s.a[lo:hi], s.b[lo:hi], uint32(lo), &s.mask) })
	s.a, s.b, s.mask = dst, x, m
	s.do(len(dst), 1)
}
