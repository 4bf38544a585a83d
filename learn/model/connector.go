package model

import (
	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/op"
)

// Tensor names of the connector.
const (
	connectorNorm   = "connector.norm."
	connectorFuse   = "connector.fuse."
	connectorPrompt = "connector.prompt"
)

// connectorEps is the epsilon of the connector's layer norm.
const connectorEps = 1e-5

// fuseParameters are the tensors of a modality's way into the fused representation. They are the modality's own, so that nodes that have
// it can share them whatever else they have.
func fuseParameters(s Spec, m Modality, seed uint64) []*parameter {
	return append([]*parameter{
		newParameter(seed, connectorNorm+m.Name+".weight", ones, s.Projection, s.Projection),
		newParameter(seed, connectorNorm+m.Name+".bias", zeros, s.Projection, s.Projection),
	}, affineParameters(seed, connectorFuse+m.Name, s.Projection, s.Fused)...)
}

// promptParameters are the tensors between the fused representation and the soft prompts: every node on the base has them.
func promptParameters(s Spec, dim int, seed uint64) []*parameter {
	return affineParameters(seed, connectorPrompt, s.Fused, s.Prompt*dim)
}

// fusion is the part of a graph from the inputs to the soft prompts. Nodes are added when first asked for, so that a graph
// holds only parameters that its losses reach.
type fusion struct {
	b      *builder
	spec   Spec
	inputs [][]float32 // per modality [rows, size], rewritten between runs

	projections []*gorgonia.Node // [rows, Projection] each
	parts       []*gorgonia.Node // [rows, Fused] each
	fused       *gorgonia.Node
	sum         op.Sum
}

func (b *builder) fusion(s Spec, rows int) *fusion {
	f := &fusion{b: b, spec: s}
	for _, m := range s.Modalities {
		projection, data := b.encode(s, m, rows)
		f.inputs, f.projections = append(f.inputs, data), append(f.projections, projection)
		f.sum.Present = append(f.sum.Present, make([]bool, rows))
	}
	return f
}

// load copies rows from to to of the inputs into the graph, and tells the sum which rows have which modality.
func (f *fusion) load(inputs map[string][][]float32, from, to int) {
	for i, m := range f.spec.Modalities {
		rows := inputs[m.Name]
		if rows != nil {
			rows = rows[from:to]
		}
		m.fill(f.inputs[i], rows)
		for row := range f.sum.Present[i] {
			f.sum.Present[i][row] = row >= to-from || present(rows, row)
		}
	}
}

// contributions are what each modality says of the row, [rows, Fused] each.
func (f *fusion) contributions() []*gorgonia.Node {
	if f.parts == nil {
		for i, m := range f.spec.Modalities {
			normal := f.b.layerNorm(connectorNorm+m.Name, connectorEps, f.projections[i])
			f.parts = append(f.parts, f.b.affine(connectorFuse+m.Name, normal))
		}
	}
	return f.parts
}

// representation is the fused representation, [rows, Fused]: the sum of what the modalities that a row has say of it. A modality says
// the same whichever others there are, so that nodes that have it alone and nodes that have more can share it.
func (f *fusion) representation() *gorgonia.Node {
	if f.fused == nil {
		f.fused = f.b.apply(&f.sum, f.contributions()...)
	}
	return f.fused
}

// prompts are the soft prompts, [rows, Prompt*dim].
func (f *fusion) prompts() *gorgonia.Node {
	h := f.b.apply(op.GELU{}, f.representation())
	if noise := f.b.noise(f.spec.Dropout); noise.Rate > 0 {
		h = f.b.apply(&op.Dropout{Noise: noise}, h)
	}
	return f.b.affine(connectorPrompt, h)
}
