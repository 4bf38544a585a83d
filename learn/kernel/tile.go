package kernel

//go:generate go -C gen run .

// tiles is one micro-kernel: it computes tiles of C of at most rows x cols.
type tiles struct {
	name       string
	rows, cols int
	isa        isa
	narrow     *tiles // what computes tiles of at most narrow.cols columns, if it is another one
}

// forColumns is the micro-kernel for products of n columns.
func (t *tiles) forColumns(n int) *tiles {
	if t.narrow != nil && n <= t.narrow.cols {
		return t.narrow
	}
	return t
}

// isa is an instruction set. A tile function is chosen by a switch and not by a function value, so that its arguments
// may live on the stack.
type isa int

const (
	isaPortable isa = iota
	isaAVX2
	isaAVX512
	isaNEON
)

var portable = tiles{name: "portable", rows: 4, cols: 4, isa: isaPortable}

// active is the micro-kernel in use, the best that this machine can run; tests change it.
var active = &available()[0]
