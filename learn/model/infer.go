package model

import (
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/op"
)

// inferRows is how many rows are fused and decoded at a time: it bounds the memory of large evaluations.
const inferRows = 32

// fuseGraph computes fused representations and soft prompts, without gradients.
type fuseGraph struct {
	b              *builder
	fusion         *fusion
	fused, prompts *gorgonia.Node
}

func (m *Model) newFuseGraph(rows int) (*fuseGraph, error) {
	b := newBuilder(m.byName, m.base.Tensors, m.base.weights(), false)
	g := &fuseGraph{b: b, fusion: b.fusion(m.spec, rows)}
	g.fused, g.prompts = g.fusion.representation(), g.fusion.prompts()
	return g, b.finish(nil)
}

// fuse runs the rows [from, to) of b; the results are valid until the next call.
func (m *Model) fuse(b Batch, from, to int) (fused, prompts []float32, err error) {
	rows := padRows(to - from)
	g, err := m.fusions.get(rows, m.cost(graphKey{rows: rows}), func() (*fuseGraph, error) { return m.newFuseGraph(rows) })
	if err != nil {
		return nil, nil, err
	}
	g.fusion.load(b.Inputs, from, to)
	g.b.g.Run()
	return op.Floats(g.fused), op.Floats(g.prompts), nil
}

// Fuse gives the fused representation of every row (no dropout), rows x Spec.Fused.
func (m *Model) Fuse(b Batch) ([][]float32, error) {
	n, err := m.rows(b)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	var all [][]float32
	for from := 0; from < n; from += inferRows {
		to := min(from+inferRows, n)
		fused, _, err := m.fuse(b, from, to)
		if err != nil {
			return nil, fmt.Errorf("fuse: %w", err)
		}
		for i := range to - from {
			all = append(all, slices.Clone(fused[i*m.spec.Fused:(i+1)*m.spec.Fused]))
		}
	}
	return all, nil
}
