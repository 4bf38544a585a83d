package op

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"

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
	value gorgonia.Value // the output, owned by the op and rewritten on every run
	flat  []float32      // the output's memory; of length 1 for a scalar
}

func (g *Graph) newBase(name string, in []*gorgonia.Node, shape tensor.Shape) base {
	g.ops++
	b := base{name: name, id: g.ops, shape: shape.Clone()}
	for _, n := range in {
		b.types = append(b.types, n.Type())
	}
	if len(shape) == 0 {
		b.types = append(b.types, gorgonia.Float32)
		b.value, b.flat = gorgonia.NewF32(0), make([]float32, 1)
		return b
	}
	b.types = append(b.types, gorgonia.TensorType{Dims: len(shape), Of: gorgonia.Float32})
	t := tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))
	b.value, b.flat = t, t.Float32s()
	return b
}

// done publishes flat as the op's value.
func (b *base) done() gorgonia.Value {
	if s, ok := b.value.(*gorgonia.F32); ok {
		*s = gorgonia.F32(b.flat[0])
	}
	return b.value
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
	graph *Graph
	f     Func
	wrt   []bool
	in    [][]float32
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
	return &forward{base: g.newBase(f.String(), in, shape), graph: g, f: f, wrt: wrt, in: make([][]float32, len(in))}, nil
}

func (o *forward) DiffWRT(int) []bool { return o.wrt }

func (o *forward) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	for i, v := range in {
		o.in[i] = values(v)
	}
	o.f.Forward(o.flat, o.in)
	return o.done(), nil
}

func (o *forward) SymDiff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	children := append(append(gorgonia.Nodes{}, in...), out, grad)
	b := &backward{forward: o, grads: make([][]float32, len(in))}
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
	forward *forward
	grads   [][]float32
}

func (o *backward) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	n := len(o.grads)
	for i, v := range in[:n] {
		o.forward.in[i] = values(v)
	}
	o.forward.f.Backward(o.grads, values(in[n+1]), o.forward.in, values(in[n]))
	return o.done(), nil
}

// tap returns a gradient that the backward op it depends on has written into the tap's memory.
type tap struct{ base }

func (o *tap) Do(...gorgonia.Value) (gorgonia.Value, error) { return o.done(), nil }
