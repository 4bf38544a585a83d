package kernel

import "sync"

const (
	// A strip of A with blockK columns stays in the first-level cache while it meets all panels of a block of B. It is
	// the same for every micro-kernel, so that products have the same bits on all with the same rounding.
	blockK = 384
	// blockN columns of B, over blockK rows, stay in the second-level cache while all strips of A pass by.
	blockN = 256
	// taskFlops is how much work a thread takes at a time: some ten microseconds.
	taskFlops = 1 << 20
	// inlineFlops is the work below which waking a second thread costs more than it brings.
	inlineFlops = 4 << 20
)

// product is one C = alpha*A*B + beta*C on its way through Do. C is cut into units of one row tile and width columns.
type product struct {
	t           *tiles
	m, n, k     int
	alpha, beta float32
	a           matrix
	c           []float32
	ldc         int

	// B is panels, or if that is nil it is read where it lies, except for the last tail columns.
	panels  []float32
	frozen  *Frozen // if not nil, B is this, transposed if turned, and widened block by block
	turned  bool
	chunks  int // of the rows, that meet a block of frozen at a time
	b       matrix
	tail    int
	rows    int // number of row tiles
	width   int
	scratch []float32 // panels made for this product; kept for the next one
}

var products = sync.Pool{New: func() any { return new(product) }}

// multiply computes the product with op(B) in packed or, if that is nil, in b. m and n are positive.
func multiply(m, n, k int, alpha float32, a, b matrix, packed *Packed, beta float32, c []float32, ldc int) {
	if alpha == 0 || k == 0 {
		scaleMatrix(m, n, beta, c, ldc)
		return
	}
	if packed == nil && b.col != 1 && m <= fewRows && n >= 4*m {
		multiplyTurned(m, n, k, alpha, a, b, beta, c, ldc)
		return
	}
	p := products.Get().(*product)
	p.m, p.n, p.k = m, n, k
	p.alpha, p.beta = alpha, beta
	p.a, p.b, p.c, p.ldc = a, b, c, ldc
	if packed != nil {
		p.t, p.panels = packed.tiles, packed.panels
	} else {
		p.t = active.forColumns(n)
		p.prepare()
	}
	// Tiles of nearly equal height: a low last one would use the registers badly.
	p.rows = (m + p.t.rows - 1) / p.t.rows
	p.width = blockN
	if columns := (n + blockN - 1) / blockN; p.rows*columns < 8 {
		panels := (n*p.rows/8 + p.t.cols - 1) / p.t.cols
		p.width = max(1, panels) * p.t.cols
	}
	units := p.rows * ((n + p.width - 1) / p.width)
	grain := units
	if flops := 2 * m * n * k; flops > inlineFlops {
		grain = max(1, units/(flops/taskFlops))
	}
	Do(units, grain, p)
	p.a, p.b, p.c, p.panels = matrix{}, matrix{}, nil, nil
	products.Put(p)
}

// fewRows of A are not worth the packing of a large transposed B.
const fewRows = 48

// multiplyTurned computes the product as the transpose of transpose(B)*transpose(A): of the two operands, A is the smaller one to
// pack. The bits are the same.
func multiplyTurned(m, n, k int, alpha float32, a, b matrix, beta float32, c []float32, ldc int) {
	t := turned.Get().(*[]float32)
	if cap(*t) < m*n {
		*t = make([]float32, m*n)
	}
	*t = (*t)[:m*n]
	if beta != 0 {
		for i := range m {
			column := (*t)[i:]
			for j, v := range c[i*ldc:][:n] {
				column[j*m] = v
			}
		}
	}
	multiply(n, m, k, alpha, matrix{b.data, b.col, b.row}, matrix{a.data, a.col, a.row}, nil, beta, *t, m)
	for i := range m {
		row, column := c[i*ldc:][:n], (*t)[i:]
		for j := range row {
			row[j] = column[j*m]
		}
	}
	turned.Put(t)
}

var turned = sync.Pool{New: func() any { return new([]float32) }}

// prepare packs what the micro-kernel cannot read where it lies: a transposed B, or a last panel that reaches beyond the
// end of B's slice.
func (p *product) prepare() {
	t, b := p.t, p.b
	if b.col != 1 {
		p.panels = p.space(panelLen(t, p.k, p.n))
		const grain = 1 << 15
		Do((p.n+t.cols-1)/t.cols, 1+grain/(p.k*t.cols), (*packing)(p))
		return
	}
	p.tail = 0
	last := (p.n - 1) / t.cols * t.cols
	if (p.k-1)*b.row+last+t.cols > len(b.data) {
		p.tail = p.n - last
		packPanels(t, p.space(p.k*t.cols), b, p.k, last, p.n)
	}
}

func (p *product) space(n int) []float32 {
	if cap(p.scratch) < n {
		p.scratch = make([]float32, n)
	}
	p.scratch = p.scratch[:n]
	return p.scratch
}

// packing is a product whose B is being packed, panel by panel.
type packing product

func (p *packing) Run(lo, hi int) {
	cols := p.t.cols
	packPanels(p.t, p.panels[lo*cols*p.k:], p.b, p.k, lo*cols, min(hi*cols, p.n))
}

// panel is where the panel of columns from j on begins at row k0, and how far its rows are apart.
func (p *product) panel(j, k0 int) (b []float32, row int) {
	cols := p.t.cols
	switch {
	case p.panels != nil:
		return p.panels[j*p.k+k0*cols:], cols
	case j >= p.n-p.tail:
		return p.scratch[k0*cols:], cols
	default:
		return p.b.data[k0*p.b.row+j:], p.b.row
	}
}

// Run computes the units [lo, hi), which are numbered down the rows of one block of columns after the other.
func (p *product) Run(lo, hi int) {
	for lo < hi {
		j0 := lo / p.rows * p.width
		r0 := lo % p.rows
		r1 := min(p.rows, r0+hi-lo)
		p.block(r0, r1, j0, min(p.n, j0+p.width))
		lo += r1 - r0
	}
}

// block computes the row tiles [r0, r1) of the columns [j0, j1).
func (p *product) block(r0, r1, j0, j1 int) {
	t := p.t
	beta := p.beta
	var widened *room
	if p.frozen != nil {
		widened = rooms.Get().(*room)
		defer rooms.Put(widened)
	}
	var copied *strip
	if p.scattered(j1 - j0) {
		copied = strips.Get().(*strip)
		defer strips.Put(copied)
	}
	for k0 := 0; k0 < p.k; k0 += blockK {
		k := min(blockK, p.k-k0)
		if widened != nil {
			p.frozen.pack(t, widened.panels[:], p.turned, k0, k, j0, j1, widened.spare[:])
		}
		for r := r0; r < r1; r++ {
			i0, i1 := r*p.m/p.rows, (r+1)*p.m/p.rows
			a := matrix{p.a.data[i0*p.a.row+k0*p.a.col:], p.a.row, p.a.col}
			if copied != nil {
				a = copied.of(a, i1-i0, k)
			}
			for j := j0; j < j1; j += t.cols {
				var b []float32
				var row int
				if widened != nil {
					b, row = widened.panels[(j-j0)*k:], t.cols
				} else {
					b, row = p.panel(j, k0)
				}
				t.run(i1-i0, min(t.cols, j1-j), k, p.alpha, a.data, a.row, a.col, b, row, beta, p.c[i0*p.ldc+j:], p.ldc)
			}
		}
		beta = 1
	}
}

// multiplyFrozen computes the product with op(W). m and n are positive.
func multiplyFrozen(m, n, k int, alpha float32, a matrix, w *Frozen, trans bool, beta float32, c []float32, ldc int) {
	if alpha == 0 || k == 0 {
		scaleMatrix(m, n, beta, c, ldc)
		return
	}
	p := products.Get().(*product)
	p.t = active.forColumns(n)
	p.m, p.n, p.k = m, n, k
	p.alpha, p.beta = alpha, beta
	p.a, p.c, p.ldc = a, c, ldc
	p.frozen, p.turned = w, trans
	p.rows = (m + p.t.rows - 1) / p.t.rows
	p.chunks = (m + chunkRows - 1) / chunkRows
	p.width = blockN / p.t.cols * p.t.cols
	if columns := (n + p.width - 1) / p.width; p.chunks*columns < 8 {
		panels := (n*p.chunks/8 + p.t.cols - 1) / p.t.cols
		p.width = max(1, panels) * p.t.cols
	}
	units := p.chunks * ((n + p.width - 1) / p.width)
	grain := 1
	if 2*m*n*k <= inlineFlops {
		grain = units
	}
	Do(units, grain, (*widening)(p))
	p.a, p.c, p.frozen = matrix{}, nil, nil
	products.Put(p)
}

// chunkRows of A meet a block of frozen weights before it is widened again.
const chunkRows = 256

// widening is a product with frozen weights, in units of a chunk of rows and width columns.
type widening product

func (w *widening) Run(lo, hi int) {
	p := (*product)(w)
	for u := lo; u < hi; u++ {
		j0, chunk := u/p.chunks*p.width, u%p.chunks
		p.block(chunk*p.rows/p.chunks, (chunk+1)*p.rows/p.chunks, j0, min(p.n, j0+p.width))
	}
}

// room is where a thread widens a block of frozen weights.
type room struct {
	panels [blockK * blockN]float32
	spare  [8 * blockK]float32
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// strip is room for a strip of A, column by column.
type strip [12 * blockK]float32

var strips = sync.Pool{New: func() any { return new(strip) }}

// scattered tells whether strips of A are better copied before they meet so many columns: when A is transposed, a low
// tile uses a small part of each cache line, and the lines lie so far apart that few of them stay in the cache.
func (p *product) scattered(columns int) bool {
	return p.a.row == 1 && p.a.col >= 512 && p.t.rows < 12 && columns >= 128
}

// of copies a transposed rows x k matrix.
func (s *strip) of(a matrix, rows, k int) matrix {
	for q := range k {
		copy(s[q*rows:], a.data[q*a.col:][:rows])
	}
	return matrix{s[:], 1, rows}
}
