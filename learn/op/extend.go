package op

import "github.com/mlecs/mlecs/learn/kernel"

// Cache holds the keys and values that one Block has computed, so that decoding a token costs one position.
type Cache struct {
	columns, capacity int
	kv                []float32 // [rows, capacity, 2*columns]: keys and values side by side
}

// NewCache has room for the given number of positions per row.
func (b *Block) NewCache(rows, capacity int) *Cache {
	_, k := b.attention.columns()
	return &Cache{columns: k, capacity: capacity, kv: make([]float32, rows*capacity*2*k)}
}

// row gives the keys and values of a row of the cache.
func (c *Cache) row(r int) (k, v strided) {
	all := strided{c.kv, 2 * c.columns}.at(r*c.capacity, 0)
	return all, all.at(0, c.columns)
}

// Extend computes the block on n further positions of some rows of the cache, without dropout. x [len(rows)*n, Dim] is
// replaced by the result. Row rows[i] has start[i] positions already: later ones are overwritten. in are the block's
// parameters in the order of Block, without x.
func (b *Block) Extend(x []float32, n int, in [][]float32, cache *Cache, rows, start []int) {
	p := b.take(in)
	q, k, v := b.project(x, p)
	ctx := b.input(&b.ctx, slotCtx, len(rows)*n*b.out.in, b.out)
	for i, r := range rows {
		q, k, v := q.at(i*n, 0), k.at(i*n, 0), v.at(i*n, 0)
		if b.rope != nil {
			b.rope.turn(q, n, b.attention.Heads, start[i], 1)
			b.rope.turn(k, n, b.attention.KVHeads, start[i], 1)
		}
		keys, values := cache.row(r)
		for j := range n {
			copy(keys.at(start[i]+j, 0).data[:cache.columns], k.at(j, 0).data)
			copy(values.at(start[i]+j, 0).data[:cache.columns], v.at(j, 0).data)
		}
		b.attention.extend(ctx[i*n*b.out.in:], q, n, keys, values, start[i])
	}
	b.finish(x, x, ctx, p)
}

// extend is the attention of the n positions of one row, from position start on, over its cached keys and values.
func (a *Attention) extend(out []float32, q strided, n int, keys, values strided, start int) {
	t, w := start+n, a.Width
	scores := sized(&a.probs, n*t)
	y := strided{out, a.Heads * w}
	for head := range a.Heads {
		q, y := q.at(0, head*w), y.at(0, head*w)
		k, v := keys.at(0, a.keyColumn(head)), values.at(0, a.keyColumn(head))
		if n == 1 {
			a.extendOne(y.data[:w], q.data[:w], scores, k, v)
			continue
		}
		kernel.Gemm(false, true, n, t, w, a.scale(), q.data, q.stride, k.data, k.stride, 0, scores, t)
		causalSoftmax(scores[:n*t], t, start)
		kernel.Gemm(false, false, n, w, t, 1, scores, t, v.data, v.stride, 0, y.data, y.stride)
	}
}

// extendOne is the attention of one position and head over all cached keys: too little work for products of matrices.
func (a *Attention) extendOne(y, q, scores []float32, k, v strided) {
	scale := a.scale()
	for j := range scores {
		scores[j] = scale * kernel.Dot(q, k.data[j*k.stride:])
	}
	kernel.Softmax(scores, scores)
	clear(y)
	for j, p := range scores {
		kernel.AddScaled(p, v.data[j*v.stride:][:len(y)], y)
	}
}
