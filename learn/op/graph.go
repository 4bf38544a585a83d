package op

import (
	"fmt"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Func is a differentiable function of float32 tensors. One instance serves one node.
type Func interface {
	// Shape gives the output's shape, or says which input does not fit. An empty shape is a scalar.
	Shape(in []tensor.Shape) (tensor.Shape, error)
	// Forward computes all of out.
	Forward(out []float32, in [][]float32)
	// Backward computes all of every grads[i] that is not nil from grad, the gradient of the cost with respect to out.
	// in and out are those of the preceding Forward. The gradients alias nothing.
	Backward(grads [][]float32, grad []float32, in [][]float32, out []float32)
	// String names the operation in errors.
	String() string
}

// Graph builds one static expression graph and runs it.
type Graph struct {
	g       *gorgonia.ExprGraph
	needs   map[*gorgonia.Node]bool // nodes with a parameter beneath them
	params  []*gorgonia.Node
	grads   map[*gorgonia.Node]*gorgonia.Node
	memory  map[*gorgonia.Node][]float32 // of every node, once compiled
	program []instruction
	ops     uint64
}

// building serialises everything that touches Gorgonia's package-level state: node hashes of shared constants and type pools.
var building sync.Mutex

// NewGraph starts an empty graph.
func NewGraph() *Graph {
	return &Graph{
		g:     gorgonia.NewGraph(),
		needs: make(map[*gorgonia.Node]bool),
		grads: make(map[*gorgonia.Node]*gorgonia.Node),
	}
}

// Input adds data or a frozen tensor. The node reads data's memory on every run; it is nil for what the Funcs hold themselves. Names are
// unique within a graph.
func (g *Graph) Input(name string, shape tensor.Shape, data []float32) *gorgonia.Node {
	building.Lock()
	defer building.Unlock()
	return g.leaf(name, shape, data)
}

// Param adds a tensor whose gradient Differentiate computes. The node reads data's memory on every run.
func (g *Graph) Param(name string, shape tensor.Shape, data []float32) *gorgonia.Node {
	n := g.Input(name, shape, data)
	g.needs[n] = true
	g.params = append(g.params, n)
	return n
}

func (g *Graph) leaf(name string, shape tensor.Shape, data []float32) *gorgonia.Node {
	options := []gorgonia.NodeConsOpt{gorgonia.WithShape(shape...), gorgonia.WithName(name)}
	if data != nil {
		options = append(options, gorgonia.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))))
	}
	return gorgonia.NewTensor(g.g, gorgonia.Float32, len(shape), options...)
}

// Apply adds f of the inputs.
func (g *Graph) Apply(f Func, in ...*gorgonia.Node) (*gorgonia.Node, error) {
	building.Lock()
	defer building.Unlock()
	op, err := g.newForward(f, in)
	if err != nil {
		return nil, err
	}
	n, err := gorgonia.ApplyOp(op, in...)
	if err != nil {
		return nil, fmt.Errorf("add %v to the graph: %w", f, err)
	}
	for _, want := range op.wrt {
		if want {
			g.needs[n] = true
		}
	}
	return n, nil
}

// Differentiate adds the gradient of the scalar cost with respect to every Param, all of which cost must depend on.
func (g *Graph) Differentiate(cost *gorgonia.Node) error {
	building.Lock()
	defer building.Unlock()
	// Gorgonia's own constant 1 is a package-level node that graphs write their hash to; this one belongs to the graph.
	one := gorgonia.NewScalar(g.g, gorgonia.Float32, gorgonia.WithName("d cost"), gorgonia.WithValue(float32(1)))
	grads, err := gorgonia.Backpropagate(gorgonia.Nodes{cost}, gorgonia.Nodes{one}, gorgonia.Nodes(g.params))
	if err != nil {
		return fmt.Errorf("differentiate the graph: %w", err)
	}
	for i, p := range g.params {
		g.grads[p] = grads[i]
	}
	return nil
}

// Compile makes the graph ready to Run; nothing can be added afterwards.
func (g *Graph) Compile() error {
	building.Lock()
	defer building.Unlock()
	// Gorgonia merges nodes of equal 32-bit hash as common subexpressions without comparing them.
	seen := make(map[uint32]*gorgonia.Node)
	for _, n := range g.g.AllNodes() {
		if other, ok := seen[n.Hashcode()]; ok {
			return fmt.Errorf("compile the graph: nodes %v and %v have the same hash", n, other)
		}
		seen[n.Hashcode()] = n
	}
	return g.assemble()
}

// Run evaluates every node. It allocates nothing once the Funcs are warm.
func (g *Graph) Run() {
	for _, i := range g.program {
		i.run()
	}
}

// Grad is the memory of the gradient of a Param: every Run overwrites it.
func (g *Graph) Grad(param *gorgonia.Node) []float32 { return g.memory[g.grads[param]] }

// Floats is the memory of the value of an applied Func: every Run overwrites it.
func Floats(n *gorgonia.Node) []float32 { return n.Op().(interface{ output() []float32 }).output() }
