package model

import (
	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/op"
)

// Tensor names of the connector.
const (
	connectorNorm   = "connector.norm"
	connectorFuse   = "connector.fuse"
	connectorPrompt = "connector.prompt"
)

// connectorEps is the epsilon of the connector's layer norm.
const connectorEps = 1e-5

func connectorParameters(s Spec, dim int, seed uint64) []*parameter {
	width := len(s.Modalities) * s.Projection
	all := []*parameter{
		newParameter(seed, connectorNorm+".weight", ones, width, width),
		newParameter(seed, connectorNorm+".bias", zeros, width, width),
	}
	all = append(all, affineParameters(seed, connectorFuse, width, s.Fused)...)
	return append(all, affineParameters(seed, connectorPrompt, s.Fused, s.Prompt*dim)...)
}

// fusion is the part of a graph from the inputs to the soft prompts. Nodes are added when first asked for, so that a graph
// holds only parameters that its losses reach.
type fusion struct {
	b      *builder
	spec   Spec
	inputs [][]float32 // per modality [rows, size], rewritten between runs

	projections   []*gorgonia.Node // [rows, Projection] each
	normal, fused *gorgonia.Node
}

func (b *builder) fusion(s Spec, rows int) *fusion {
	f := &fusion{b: b, spec: s}
	for _, m := range s.Modalities {
		projection, data := b.encode(s, m, rows)
		f.inputs, f.projections = append(f.inputs, data), append(f.projections, projection)
	}
	f.normal = b.layerNorm(connectorNorm, connectorEps, b.apply(&op.Concat{}, f.projections...))
	return f
}

// representation is the fused representation, [rows, Fused].
func (f *fusion) representation() *gorgonia.Node {
	if f.fused == nil {
		f.fused = f.b.affine(connectorFuse, f.normal)
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

// contributions are what each modality adds to the fused representation, [rows, Fused] each; of a single modality, all of it.
func (f *fusion) contributions() []*gorgonia.Node {
	if len(f.spec.Modalities) == 1 {
		return []*gorgonia.Node{f.representation()}
	}
	all := make([]*gorgonia.Node, len(f.spec.Modalities))
	for i := range all {
		share := &op.Share{From: i * f.spec.Projection, Width: f.spec.Projection}
		all[i] = f.b.apply(share, f.normal, f.b.tensor(connectorFuse+".weight"))
	}
	return all
}
