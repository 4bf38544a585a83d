package kernel

import (
	"math"
	"sync"
)

// Products of bytes. Both operands are rounded to bytes, with a float32 scale for every scaleGroup neighbours along the sum. The sum over
// such a group is exact, in integers; sums of groups are brought to float32, times both scales, and added in the order of k. No operation
// is fused with another, so that every implementation has the same bits.

// bytePanels is a matrix B [k, n] of bytes: panels of byteCols columns, in each of which a group of rows is four rows at a time, column by
// column. Bytes count from 128 on: one factor of VPDPBUSD has no sign.
type bytePanels struct {
	k, n   int
	bytes  []uint8   // by panel, group, four rows, column, row
	scales []float32 // by panel, group, column
}

const (
	byteRows = 12 // a tile's
	byteCols = 32
	zeroByte = 128
)

// newBytePanels rounds op(W), whose rows in memory are ld apart.
func newBytePanels(trans bool, k, n int, w []float32, ld int) *bytePanels {
	count, groups := (n+byteCols-1)/byteCols, byteGroups(k)
	p := &bytePanels{k: k, n: n, bytes: make([]uint8, count*groups*scaleGroup*byteCols), scales: make([]float32, count*groups*byteCols)}
	v := view("W", trans, k, n, w, ld)
	Parallel(count, 1, func(lo, hi int) {
		for i := lo * groups; i < hi*groups; i++ {
			p.fill(v, i/groups*byteCols, i%groups)
		}
	})
	return p
}

// byteGroups is how many scales a sum over k elements has.
func byteGroups(k int) int { return (k + scaleGroup - 1) / scaleGroup }

// at is where the group g of the panel that begins with column j lies: its first scale, and its first byte.
func (p *bytePanels) at(j, g int) (scale, first int) {
	scale = (j/byteCols*byteGroups(p.k) + g) * byteCols
	return scale, scale * scaleGroup
}

// fill rounds the group g of the columns from j on, a multiple of byteCols.
func (p *bytePanels) fill(w matrix, j, g int) {
	var x [scaleGroup]float32
	var q [scaleGroup]int8
	scale, first := p.at(j, g)
	for c := range byteCols {
		clear(x[:])
		for i := 0; j+c < p.n && i < min(scaleGroup, p.k-g*scaleGroup); i++ {
			x[i] = w.data[(g*scaleGroup+i)*w.row+(j+c)*w.col]
		}
		p.scales[scale+c] = roundInt8(q[:], x[:])
		for i, v := range q {
			p.bytes[first+i/4*4*byteCols+4*c+i%4] = uint8(int(v) + zeroByte)
		}
	}
}

// column writes rows [0, len(dst)) of column j to dst, in float32.
func (p *bytePanels) column(dst []float32, j int) {
	for i := range dst {
		scale, first := p.at(j, i/scaleGroup)
		c, r := j%byteCols, i%scaleGroup
		dst[i] = p.scales[scale+c] * float32(int(p.bytes[first+r/4*4*byteCols+4*c+r%4])-zeroByte)
	}
}

// byteProduct is one C = alpha*A*B + beta*C on its way through Do: first A is rounded, then C is computed in units of a panel and a chunk
// of rows.
type byteProduct struct {
	m, groups   int
	alpha, beta float32
	a           []float32
	lda         int
	b           *bytePanels
	c           []float32
	ldc         int

	rounded     []int8    // A, rows of groups*scaleGroup
	scales      []float32 // of A by group and row
	corrections []int32   // what a group of a row adds because bytes of B count from 128 on
	rows        int       // number of row tiles
	chunks      int       // of the rows, that meet a panel at a time
}

var byteProducts = sync.Pool{New: func() any { return new(byteProduct) }}

// multiplyBytes computes the product. m and n are positive.
func multiplyBytes(m int, alpha float32, a []float32, lda int, b *bytePanels, beta float32, c []float32, ldc int) {
	if alpha == 0 || b.k == 0 {
		scaleMatrix(m, b.n, beta, c, ldc)
		return
	}
	p := byteProducts.Get().(*byteProduct)
	p.m, p.groups, p.alpha, p.beta = m, byteGroups(b.k), alpha, beta
	p.a, p.lda, p.b, p.c, p.ldc = a, lda, b, c, ldc
	if n := m * p.groups; cap(p.scales) < n {
		p.rounded, p.scales, p.corrections = make([]int8, n*scaleGroup), make([]float32, n), make([]int32, n)
	}
	Do(m, 1+sweepGrain/b.k, (*byteRounding)(p))

	p.rows = (m + byteRows - 1) / byteRows
	p.chunks = (m + chunkRows - 1) / chunkRows
	units := p.chunks * ((b.n + byteCols - 1) / byteCols)
	grain := units
	if flops := 2 * m * b.n * b.k; flops > inlineFlops {
		grain = max(1, units/(flops/inlineFlops))
	}
	Do(units, grain, p)
	p.a, p.b, p.c = nil, nil, nil
	byteProducts.Put(p)
}

// byteRounding is a product whose A is being rounded, row by row.
type byteRounding byteProduct

func (p *byteRounding) Run(lo, hi int) {
	k := p.b.k
	for i := lo; i < hi; i++ {
		roundToBytes(p.rounded[i*p.groups*scaleGroup:][:p.groups*scaleGroup], p.scales[i:], p.corrections[i:], p.m, p.a[i*p.lda:][:k])
	}
}

// Run computes units, which are numbered by chunk and then by panel.
func (p *byteProduct) Run(lo, hi int) {
	sums := tileSums.Get().(*[byteRows * byteCols]float32)
	defer tileSums.Put(sums)
	panels := (p.b.n + byteCols - 1) / byteCols
	for u := lo; u < hi; u++ {
		chunk, j := u/panels, u%panels*byteCols
		scale, first := p.b.at(j, 0)
		size := p.groups * byteCols
		t := byteTile{
			cols: min(byteCols, p.b.n-j), groups: p.groups, alpha: p.alpha, arow: p.groups * scaleGroup, scaleRow: p.m,
			b: p.b.bytes[first:][:size*scaleGroup], bscale: p.b.scales[scale:][:size], sums: sums, beta: p.beta, ldc: p.ldc,
		}
		for r := chunk * p.rows / p.chunks; r < (chunk+1)*p.rows/p.chunks; r++ {
			i0, i1 := r*p.m/p.rows, (r+1)*p.m/p.rows
			t.rows, t.a, t.ascale, t.correction, t.c = i1-i0, p.rounded[i0*t.arow:], p.scales[i0:], p.corrections[i0:], p.c[i0*p.ldc+j:]
			t.run()
		}
	}
}

var tileSums = sync.Pool{New: func() any { return new([byteRows * byteCols]float32) }}

// byteTile is a tile of C of at most byteRows x byteCols: C = alpha*A*B + beta*C, where A is rows of groups of bytes, arow apart, and b a panel.
// The scale and the correction of a row's group are scaleRow further than those of the group before. sums is scratch.
type byteTile struct {
	rows, cols, groups int
	alpha              float32
	a                  []int8
	arow               int
	ascale             []float32
	correction         []int32
	scaleRow           int
	b                  []uint8
	bscale             []float32
	sums               *[byteRows * byteCols]float32
	beta               float32
	c                  []float32
	ldc                int
}

func (t *byteTile) portable() {
	clear(t.sums[:])
	for g := range t.groups {
		b, scales := t.b[g*scaleGroup*byteCols:][:scaleGroup*byteCols], t.bscale[g*byteCols:][:byteCols]
		for i := range t.rows {
			a, scale := t.a[i*t.arow+g*scaleGroup:][:scaleGroup], t.ascale[g*t.scaleRow+i]
			for j, s := range scales {
				total := t.correction[g*t.scaleRow+i]
				for q := 0; q < scaleGroup; q += 4 {
					x, y := (*[4]int8)(a[q:]), (*[4]uint8)(b[q*byteCols+4*j:])
					total += int32(x[0])*int32(y[0]) + int32(x[1])*int32(y[1]) + int32(x[2])*int32(y[2]) + int32(x[3])*int32(y[3])
				}
				t.sums[i*byteCols+j] += float32(float32(float32(total)*s) * scale)
			}
		}
	}
	for i := range t.rows {
		row := t.c[i*t.ldc:][:t.cols]
		for j := range row {
			x := float32(t.alpha * t.sums[i*byteCols+j])
			if t.beta != 0 {
				x += float32(t.beta * row[j])
			}
			row[j] = x
		}
	}
}

// roundToBytesPortable rounds a row of A to q, which may be longer: groups of bytes, whose scales and corrections are scaleRow apart. Where a group has
// an infinity or a NaN, all that it is multiplied by is NaN.
func roundToBytesPortable(q []int8, scale []float32, correction []int32, scaleRow int, x []float32) {
	for g := 0; len(x) > 0; g++ {
		n := min(scaleGroup, len(x))
		scale[g*scaleRow], correction[g*scaleRow] = roundGroup(q[:scaleGroup], x[:n])
		q, x = q[scaleGroup:], x[n:]
	}
}

// leastRounded is the least magnitude that a group must have so as not to be taken for zero: the inverse of its scale is finite.
const leastRounded = 1.0 / (1 << 100)

func roundGroup(q []int8, x []float32) (scale float32, correction int32) {
	var largest uint32 // a NaN is larger than infinity
	for _, v := range x {
		largest = max(largest, math.Float32bits(v)&math.MaxInt32)
	}
	limit := math.Float32frombits(largest)
	if !finite(limit) || limit < leastRounded {
		clear(q)
		return limit - limit, 0
	}
	inverse := 127 / limit
	for i, v := range x {
		q[i] = int8(math.RoundToEven(float64(v * inverse)))
		correction -= zeroByte * int32(q[i])
	}
	clear(q[len(x):])
	return limit / 127, correction
}
