package op

import (
	"fmt"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// instruction is one step of a graph's program. All memory is bound when the program is assembled: Gorgonia's own tape
// machine allocates on every run, and a tenth of a small model's step goes to it.
type instruction interface{ run() }

// assemble makes a program of the graph's nodes, children first.
func (g *Graph) assemble() error {
	sorted, err := gorgonia.Sort(g.g)
	if err != nil {
		return fmt.Errorf("compile the graph: %w", err)
	}
	g.memory = make(map[*gorgonia.Node][]float32, len(sorted))
	for i := len(sorted) - 1; i >= 0; i-- {
		n := sorted[i]
		switch o := n.Op().(type) {
		case nil:
			if g.memory[n], err = leafMemory(n); err != nil {
				return err
			}
		case *forward:
			g.bind(o.in, o.inputs)
			g.memory[n] = o.flat
			g.program = append(g.program, o)
		case *backward:
			o.out, o.grad = g.memory[o.outNode], g.memory[o.gradNode]
			g.memory[n] = o.flat
			g.program = append(g.program, o)
		case *tap:
			g.memory[n] = o.flat
		default:
			s, err := g.sum(n)
			if err != nil {
				return err
			}
			g.memory[n] = s.out
			g.program = append(g.program, s)
		}
	}
	return nil
}

func (g *Graph) bind(memory [][]float32, nodes []*gorgonia.Node) {
	for i, n := range nodes {
		memory[i] = g.memory[n]
	}
}

// leafMemory is the memory of data, a parameter, or the constant that the gradient of the cost is.
func leafMemory(n *gorgonia.Node) ([]float32, error) {
	switch v := n.Value().(type) {
	case nil:
		return nil, nil
	case *tensor.Dense:
		return v.Float32s(), nil
	case *gorgonia.F32:
		return []float32{float32(*v)}, nil
	default:
		return nil, fmt.Errorf("compile the graph: %v has a value of type %T", n, v)
	}
}

// sum adds the gradients that reach one node on two ways: the one operation that differentiation adds of itself.
type sum struct{ out, a, b []float32 }

func (g *Graph) sum(n *gorgonia.Node) (*sum, error) {
	var terms [][]float32
	for children := g.g.From(n.ID()); children.Next(); {
		terms = append(terms, g.memory[children.Node().(*gorgonia.Node)])
	}
	if name := n.Op().String(); len(terms) != 2 || !strings.HasPrefix(name, "+ ") {
		return nil, fmt.Errorf("compile the graph: no instruction for %s of %d nodes", name, len(terms))
	}
	return &sum{out: make([]float32, len(terms[0])), a: terms[0], b: terms[1]}, nil
}

func (s *sum) run() {
	copy(s.out, s.a)
	addInto(s.out, s.b)
}
