package kernel

// tiles is one micro-kernel: it computes tiles of C of at most rows x cols.
type tiles struct {
	name       string
	rows, cols int
	isa        isa
}

type isa int

const (
	isaPortable isa = iota
	isaAVX2
	isaAVX512
)

var portable = &tiles{name: "portable", rows: 4, cols: 4, isa: isaPortable}

// active is the micro-kernel in use; tests change it.
var active = portable

// run computes C = alpha*A*B + beta*C for one tile of C of rows x cols. The element (i, p) of A is a[i*arow + p*acol]; row
// p of B begins at b[p*brow] and has t.cols elements.
func (t *tiles) run(rows, cols, k int, alpha float32, a []float32, arow, acol int, b []float32, brow int, beta float32, c []float32, ldc int) {
	tilePortable(rows, cols, k, alpha, a, arow, acol, b, brow, beta, c, ldc)
}

// available lists the micro-kernels that this machine can run, best first.
func available() []*tiles { return []*tiles{portable} }
