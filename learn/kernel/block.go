package kernel

import "sync"

const (
	// blockK rows of B at a time: a strip of A of that length stays in the first-level cache while all panels of B
	// pass by. It is the same for every micro-kernel, so that products have the same bits on all of them.
	blockK = 384
	// taskFlops is how much work a thread takes at a time: some ten microseconds.
	taskFlops = 1 << 20
	// inlineFlops is the work below which a second thread costs more than it brings.
	inlineFlops = 2 << 20
)

// product is one C = alpha*A*B + beta*C, cut into row tiles for the threads.
type product struct {
	t           *tiles
	m, n, k     int
	alpha, beta float32
	a           matrix
	panels      []float32
	c           []float32
	ldc         int
	rowTiles    int
	packed      []float32 // space for panels of B, kept for the next product
	source      matrix    // B while it is being packed
}

var products = sync.Pool{New: func() any { return new(product) }}

// multiply computes the product with op(B) in packed or, if that is nil, in b. m and n are positive.
func multiply(m, n, k int, alpha float32, a, b matrix, packed *Packed, beta float32, c []float32, ldc int) {
	if alpha == 0 || k == 0 {
		scaleMatrix(m, n, beta, c, ldc)
		return
	}
	p := products.Get().(*product)
	p.t, p.m, p.n, p.k = active, m, n, k
	p.alpha, p.beta = alpha, beta
	p.a, p.c, p.ldc = a, c, ldc
	if packed != nil {
		p.t, p.panels = packed.tiles, packed.panels
	} else {
		p.pack(b)
	}
	// Tiles of nearly equal height: a short last tile would use the registers badly.
	p.rowTiles = (m + p.t.rows - 1) / p.t.rows
	grain := p.rowTiles
	if flops := 2 * m * n * k; flops > inlineFlops {
		grain = max(1, taskFlops/(2*p.t.rows*n*k))
	}
	Do(p.rowTiles, grain, p)
	p.a, p.c, p.panels, p.source = matrix{}, nil, nil, matrix{}
	products.Put(p)
}

func (p *product) pack(b matrix) {
	need := panelLen(p.t, p.k, p.n)
	if cap(p.packed) < need {
		p.packed = make([]float32, need)
	}
	p.panels = p.packed[:need]
	packPanels(p.t, p.panels, b, p.k, 0, p.n)
}

// Run computes the row tiles [lo, hi).
func (p *product) Run(lo, hi int) {
	t := p.t
	for k0 := 0; k0 < p.k; k0 += blockK {
		k := min(blockK, p.k-k0)
		beta := p.beta
		if k0 > 0 {
			beta = 1
		}
		for r := lo; r < hi; r++ {
			i0 := r * p.m / p.rowTiles
			i1 := (r + 1) * p.m / p.rowTiles
			a := p.a.data[i0*p.a.row+k0*p.a.col:]
			for j := 0; j < p.n; j += t.cols {
				b := p.panels[j*p.k+k0*t.cols:]
				t.run(i1-i0, min(t.cols, p.n-j), k, p.alpha, a, p.a.row, p.a.col, b, t.cols, beta, p.c[i0*p.ldc+j:], p.ldc)
			}
		}
	}
}
