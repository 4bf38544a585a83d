package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // registers the decoder
	_ "image/png"  // registers the decoder

	"golang.org/x/image/draw"
)

// imageSize is the height and width that models see.
const imageSize = 32

// maxPixels bounds what is decoded: a small file can claim a picture that fills the memory.
const maxPixels = 32 << 20

// picture is an image at model size, premultiplied on black, each plane row by row with values in [0, 1].
type picture struct {
	red, green, blue [imageSize * imageSize]float64
	width, height    int // of the file
}

// greyTolerance is how far apart the colours of a grey picture may be, which JPEG needs.
const greyTolerance = 3.0 / 255

func (p *picture) grey() bool {
	for i, r := range p.red {
		g, b := p.green[i], p.blue[i]
		if max(r, g, b)-min(r, g, b) > greyTolerance {
			return false
		}
	}
	return true
}

// planes is the picture as one plane of luma (Rec. 601) or as three of red, green and blue.
func (p *picture) planes(channels int) []float64 {
	if channels == 1 {
		luma := make([]float64, len(p.red))
		for i := range luma {
			luma[i] = 0.299*p.red[i] + 0.587*p.green[i] + 0.114*p.blue[i]
		}
		return luma
	}
	out := make([]float64, 0, 3*len(p.red))
	out = append(out, p.red[:]...)
	out = append(out, p.green[:]...)
	return append(out, p.blue[:]...)
}

// decodeImage reads a PNG or JPEG and squeezes it to model size. Catmull-Rom in x/image/draw widens its kernel when it
// shrinks, so small bright things do not vanish between sample points.
func decodeImage(raw []byte) (*picture, error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("not a PNG or JPEG image: %w", err)
	}
	if config.Width <= 0 || config.Height <= 0 || config.Width > maxPixels/config.Height {
		return nil, fmt.Errorf("%s image of %d x %d pixels: the limit is %d million pixels", format, config.Width, config.Height, maxPixels>>20)
	}
	source, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("damaged %s image: %w", format, err)
	}
	p := &picture{width: config.Width, height: config.Height}
	bounds := image.Rect(0, 0, imageSize, imageSize)
	// Depth cameras write 16 bits of which a room uses a few hundred levels; 8 bits would leave two or three.
	if _, deep := source.(*image.Gray16); deep {
		small := image.NewRGBA64(bounds)
		draw.CatmullRom.Scale(small, bounds, source, source.Bounds(), draw.Src, nil)
		for i := range p.red {
			c := small.RGBA64At(i%imageSize, i/imageSize)
			p.red[i], p.green[i], p.blue[i] = float64(c.R)/65535, float64(c.G)/65535, float64(c.B)/65535
		}
		return p, nil
	}
	small := image.NewRGBA(bounds)
	draw.CatmullRom.Scale(small, bounds, source, source.Bounds(), draw.Src, nil)
	for i := range p.red {
		c := small.RGBAAt(i%imageSize, i/imageSize)
		p.red[i], p.green[i], p.blue[i] = float64(c.R)/255, float64(c.G)/255, float64(c.B)/255
	}
	return p, nil
}

// shapeImage takes one channel if every picture is grey, else three.
func (s *Set) shapeImage(m *Modality, rows []Row) error {
	m.Shape = []int{1, imageSize, imageSize}
	for _, row := range rows {
		file := row.Files[m.Name]
		raw, err := s.read(file)
		if err != nil {
			return fmt.Errorf("%s: %w", row.where(), err)
		}
		// Most grey pictures say so in their header, which spares decoding them twice.
		if c, _, err := image.DecodeConfig(bytes.NewReader(raw)); err == nil && (c.ColorModel == color.GrayModel || c.ColorModel == color.Gray16Model) {
			continue
		}
		p, err := decodeImage(raw)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", row.where(), file, err)
		}
		if !p.grey() {
			m.Shape[0] = 3
			return nil
		}
	}
	return nil
}
