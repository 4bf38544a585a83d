package model

import (
	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/op"
)

// encoderPrefix begins the tensor names of a modality's encoder and projection.
func encoderPrefix(m Modality) string { return "encoder." + m.Name + "." }

// encoderParameters are the tensors of a modality's encoder with its projection.
func encoderParameters(s Spec, m Modality, seed uint64) []*parameter {
	prefix := encoderPrefix(m)
	hidden := 4 * s.Width
	return append(
		affineParameters(seed, prefix+"hidden", m.Size(), hidden),
		affineParameters(seed, prefix+"projection", hidden, s.Projection)...)
}

// affineParameters are weight [in, out] and bias.
func affineParameters(seed uint64, name string, in, out int) []*parameter {
	return []*parameter{
		newParameter(seed, name+".weight", uniform, in, in, out),
		newParameter(seed, name+".bias", uniform, in, out),
	}
}

// encode adds the encoder of a modality: rows x Projection.
func (b *builder) encode(m Modality, x *gorgonia.Node) *gorgonia.Node {
	prefix := encoderPrefix(m)
	h := b.apply(op.GELU{}, b.affine(prefix+"hidden", x))
	return b.affine(prefix+"projection", h)
}
