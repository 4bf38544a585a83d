package model

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/mlecs/mlecs/learn/op"
)

// convLayers is how many convolutions an encoder of images, audio or series has. Each halves the picture.
const convLayers = 3

// conv is one convolution of an encoder, with stride 2 and padding so that an even size halves.
type conv struct {
	name    string
	in, out int // channels
	kh, kw  int
	strideH int
	padH    int
	padW    int
	height  int // of the output
	width   int
}

// convs are the convolutions of a modality; none for text. A series is an image of height 1, with a longer kernel.
func (m Modality) convs(width int) []conv {
	if m.Kind == Text {
		return nil
	}
	x := m.picture()
	all := make([]conv, convLayers)
	in, h, w := x[0], x[1], x[2]
	for i := range all {
		c := conv{name: fmt.Sprintf("%sconv%d", encoderPrefix(m), i+1), in: in, out: 2 * width, kh: 3, kw: 3, strideH: 2, padH: 1, padW: 1}
		if i == 0 {
			c.out = width
		}
		if m.Kind == Series {
			c.kh, c.kw, c.strideH, c.padH, c.padW = 1, 5, 1, 0, 2
		}
		h, w = (h+2*c.padH-c.kh)/c.strideH+1, (w+2*c.padW-c.kw)/2+1
		c.height, c.width = h, w
		all[i], in = c, c.out
	}
	return all
}

// picture is the shape of a row as channels, height and width.
func (m Modality) picture() [3]int {
	if m.Kind == Series {
		return [3]int{m.Shape[0], 1, m.Shape[1]}
	}
	return [3]int{m.Shape[0], m.Shape[1], m.Shape[2]}
}

// fill copies rows to data, zeros where one is missing.
func (m Modality) fill(data []float32, rows [][]float32) {
	size, channels := m.Size(), 1
	if m.Kind != Text {
		channels = m.picture()[0]
	}
	clear(data[len(rows)*size:])
	for i, row := range rows {
		dst := data[i*size:][:size]
		switch {
		case row == nil:
			clear(dst)
		case channels == 1:
			copy(dst, row)
		default: // channels last
			for c := range channels {
				for p, v := range row[c*size/channels:][:size/channels] {
					dst[p*channels+c] = v
				}
			}
		}
	}
}

// textHidden is the width of a text encoder's hidden layer.
func textHidden(s Spec) int { return 4 * s.Width }

// encoderPrefix begins the tensor names of a modality's encoder and projection.
func encoderPrefix(m Modality) string { return "encoder." + m.Name + "." }

// encoderParameters are the tensors of a modality's encoder with its projection.
func encoderParameters(s Spec, m Modality, seed uint64) []*parameter {
	prefix := encoderPrefix(m)
	if m.Kind == Text {
		return append(
			affineParameters(seed, prefix+"hidden", m.Size(), textHidden(s)),
			affineParameters(seed, prefix+"projection", textHidden(s), s.Projection)...)
	}
	var all []*parameter
	flat := 0
	for _, c := range m.convs(s.Width) {
		fan := c.in * c.kh * c.kw
		all = append(all,
			newParameter(seed, c.name+".weight", uniform, fan, c.out, c.in, c.kh, c.kw),
			newParameter(seed, c.name+".bias", uniform, fan, c.out))
		flat = c.out * c.height * c.width
	}
	return append(all, affineParameters(seed, prefix+"projection", flat, s.Projection)...)
}

// affineParameters are weight [in, out] and bias.
func affineParameters(seed uint64, name string, in, out int) []*parameter {
	return []*parameter{
		newParameter(seed, name+".weight", uniform, in, in, out),
		newParameter(seed, name+".bias", uniform, in, out),
	}
}

// encode adds the encoder of a modality: rows x Projection. The second result is the memory of its input, row by row, the channels
// of a picture last.
func (b *builder) encode(s Spec, m Modality, rows int) (*gorgonia.Node, []float32) {
	prefix := encoderPrefix(m)
	if m.Kind == Text {
		x, data := b.input("input "+m.Name, rows, m.Size())
		return b.affine(prefix+"projection", b.apply(op.GELU{}, b.affine(prefix+"hidden", x))), data
	}
	picture := m.picture()
	x, data := b.input("input "+m.Name, rows, picture[1], picture[2], picture[0])
	for _, c := range m.convs(s.Width) {
		f := &op.Conv2D{StrideH: c.strideH, StrideW: 2, PadH: c.padH, PadW: c.padW, GELU: true}
		x = b.apply(f, x, b.tensor(c.name+".weight"), b.tensor(c.name+".bias"))
	}
	return b.affine(prefix+"projection", b.apply(&op.Flatten{}, x)), data
}
