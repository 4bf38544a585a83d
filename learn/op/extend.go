package op

import (
	"math"

	"github.com/mlecs/mlecs/learn/kernel"
)

// Cache holds the keys and values that one Block has computed, so that decoding a token costs one position.
type Cache struct {
	dim, capacity int
	kv            []float32 // [rows, capacity, 2*dim]
}

// NewCache has room for the given number of positions per row.
func NewCache(rows, capacity, dim int) *Cache {
	return &Cache{dim: dim, capacity: capacity, kv: make([]float32, rows*capacity*2*dim)}
}

// Extend computes the block on n further positions of some rows of the cache, without dropout. x [len(rows)*n, Dim] is
// replaced by the result. Row rows[i] has start[i] positions already: later ones are overwritten. in are the block's
// parameters in the order of Block, without x.
func (b *Block) Extend(x []float32, n int, in [][]float32, cache *Cache, rows, start []int) {
	p := b.take(in)
	size := len(x)
	a1, qkv, ctx := sized(&b.a1, size), sized(&b.qkv, 3*size), sized(&b.ctx, size)
	b.norm1.forward(a1, x, p.gain1, p.bias1)
	clear(qkv)
	b.QKV.forward(qkv, a1, p.qkv)
	for i, r := range rows {
		b.attendCached(ctx[i*n*b.Dim:], qkv[i*n*3*b.Dim:], n, cache.kv[r*cache.capacity*2*b.Dim:], start[i])
	}
	h := sized(&b.h, size)
	copy(h, x)
	b.AttnProj.forward(h, ctx, p.attnProj)
	b.mlp(x, h, p)
}

// attendCached is the attention of the n positions of one row, from position start on, over its cached keys and values.
func (b *Block) attendCached(y, qkv []float32, n int, kv []float32, start int) {
	d, w := b.Dim, b.Dim/b.Heads
	for i := range n {
		copy(kv[(start+i)*2*d:][:2*d], qkv[i*3*d+d:])
	}
	t := start + n
	scores := sized(&b.probs, n*t)
	scale := float32(1 / math.Sqrt(float64(w)))
	for head := range b.Heads {
		at := head * w
		kernel.Gemm(false, true, n, t, w, scale, qkv[at:], 3*d, kv[at:], 2*d, 0, scores, t)
		hideFuture(scores, t, start)
		kernel.Softmax(n, t, scores, scores)
		kernel.Gemm(false, false, n, w, t, 1, scores, t, kv[d+at:], 2*d, 0, y[at:], d)
	}
}
