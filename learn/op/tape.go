package op

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// base is what forward, backward and tap have in common as Gorgonia operations.
type base struct {
	name  string
	id    uint64    // unique in the graph: equal hashes would be merged
	types []hm.Type // of the inputs, then of the output
	shape tensor.Shape
	flat  []float32 // the output, owned by the op and rewritten on every run; of length 1 for a scalar
}

func (g *Graph) newBase(name string, in []*gorgonia.Node, shape tensor.Shape) base {
	g.ops++
	b := base{name: name, id: g.ops, shape: shape.Clone(), flat: make([]float32, max(1, shape.TotalSize()))}
	for _, n := range in {
		b.types = append(b.types, n.Type())
	}
	var result hm.Type = gorgonia.Float32
	if len(shape) > 0 {
		result = gorgonia.TensorType{Dims: len(shape), Of: gorgonia.Float32}
	}
	b.types = append(b.types, result)
	return b
}

func (b *base) output() []float32 { return b.flat }

// Do is what Gorgonia's own machines would call; Graph.Run is what runs a graph.
func (b *base) Do(...gorgonia.Value) (gorgonia.Value, error) {
	return nil, fmt.Errorf("%s runs in Graph.Run alone", b.name)
}

func (b *base) Arity() int                                            { return len(b.types) - 1 }
func (b *base) Type() hm.Type                                         { return hm.NewFnType(b.types...) }
func (b *base) ReturnsPtr() bool                                      { return false }
func (b *base) CallsExtern() bool                                     { return false }
func (b *base) OverwritesInput() int                                  { return -1 }
func (b *base) WriteHash(h hash.Hash)                                 { fmt.Fprintf(h, "%s#%d", b.name, b.id) }
func (b *base) String() string                                        { return b.name }
func (b *base) DiffWRT(n int) []bool                                  { return make([]bool, n) }
func (b *base) Hashcode() uint32                                      { h := fnv.New32a(); b.WriteHash(h); return h.Sum32() }
func (b *base) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return b.shape.Clone(), nil }

// forward is a Func as a Gorgonia operation.
type forward struct {
	base
	graph  *Graph
	f      Func
	wrt    []bool
	inputs []*gorgonia.Node
	in     [][]float32 // their memory
}

func (g *Graph) newForward(f Func, in []*gorgonia.Node) (*forward, error) {
	shapes := make([]tensor.Shape, len(in))
	wrt := make([]bool, len(in))
	for i, n := range in {
		shapes[i] = n.Shape()
		wrt[i] = g.needs[n]
	}
	shape, err := f.Shape(shapes)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", f, err)
	}
	return &forward{base: g.newBase(f.String(), in, shape), graph: g, f: f, wrt: wrt, inputs: slices.Clone(in), in: make([][]float32, len(in))}, nil
}

func (o *forward) DiffWRT(int) []bool { return o.wrt }

func (o *forward) run() { o.f.Forward(o.flat, o.in) }

func (o *forward) SymDiff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	children := append(append(gorgonia.Nodes{}, in...), out, grad)
	b := &backward{forward: o, outNode: out, gradNode: grad, grads: make([][]float32, len(in))}
	result := make(gorgonia.Nodes, len(in))
	var first *gorgonia.Node
	for i, n := range in {
		if !o.wrt[i] {
			continue
		}
		if first == nil {
			b.base = o.graph.newBase("d "+o.name, children, n.Shape())
			b.grads[i] = b.flat
			var err error
			if first, err = gorgonia.ApplyOp(b, children...); err != nil {
				return nil, err
			}
			result[i] = first
			continue
		}
		t := &tap{base: o.graph.newBase(fmt.Sprintf("d%d %s", i, o.name), []*gorgonia.Node{first}, n.Shape())}
		b.grads[i] = t.flat
		tapped, err := gorgonia.ApplyOp(t, first)
		if err != nil {
			return nil, err
		}
		result[i] = tapped
	}
	if first == nil {
		return nil, errors.New("nothing to differentiate with respect to")
	}
	return result, nil
}

// backward computes every wanted gradient of a forward op and returns the first of them.
type backward struct {
	base
	forward           *forward
	outNode, gradNode *gorgonia.Node
	out, grad         []float32 // their memory
	grads             [][]float32
}

func (o *backward) run() { o.forward.f.Backward(o.grads, o.grad, o.forward.in, o.out) }

// tap returns a gradient that the backward op it depends on has written into the tap's memory.
type tap struct{ base }
