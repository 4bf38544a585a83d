package adapter

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Names of the codecs, as records carry them.
const (
	CodecSafetensors = "safetensors" // float32 as Write has it, nothing lost
	CodecBF16        = "bf16"        // 8 bits of mantissa: errors up to 2^-8 of each value
	CodecInt8        = "int8"        // steps of 1/127 of the largest value of a group
	CodecInt4        = "int4"        // steps of 1/7 of the largest value of a group
	CodecTopK        = "topk"        // the largest values of the component as bf16, zero for all others
	CodecLowRank     = "lowrank"     // of each tensor as a matrix the directions that matter most, as many as some bytes can say
)

// Fractions that hold if nothing is said, and the largest ones.
var (
	defaultFractions = map[string]float64{CodecTopK: 0.1, CodecLowRank: 0.008}
	largestFractions = map[string]float64{CodecTopK: 1, CodecLowRank: maxLowRankPart}
)

// Codec turns components into blobs. Equal components give equal bytes on every machine. All but safetensors lose precision: send the
// difference to what the receiver has (Minus, Plus), whose values are smaller than the component's own, and keep what is lost for the
// next round (Feedback). topk and lowrank are of use for differences only.
//
// The zero Codec is safetensors.
type Codec struct {
	name     string
	fraction float64 // of topk and lowrank
}

// ParseCodec reads a setting: safetensors, bf16, int8, int4, topk or topk:FRACTION (of the values, which are kept; 0.1), lowrank
// or lowrank:FRACTION (of the bytes as float32, which are used; 0.008).
func ParseCodec(setting string) (Codec, error) {
	name, fraction, given := strings.Cut(setting, ":")
	switch name {
	case CodecSafetensors, CodecBF16, CodecInt8, CodecInt4:
		if !given {
			return Codec{name: name}, nil
		}
	case CodecTopK, CodecLowRank:
		c := Codec{name: name, fraction: defaultFractions[name]}
		if given {
			f, err := strconv.ParseFloat(fraction, 64)
			if err != nil || !(f > 0 && f <= largestFractions[name]) {
				return Codec{}, fmt.Errorf("codec %q: the fraction must be more than 0 and at most %v", setting, largestFractions[name])
			}
			c.fraction = f
		}
		return c, nil
	}
	return Codec{}, fmt.Errorf("codec %q is not known: use safetensors, bf16, int8, int4, topk[:FRACTION] or lowrank[:FRACTION]", setting)
}

// Name is what a record says of a blob, and Decode wants to know.
func (c Codec) Name() string {
	if c.name == "" {
		return CodecSafetensors
	}
	return c.name
}

// String is the setting, as ParseCodec reads it.
func (c Codec) String() string {
	if c.fraction > 0 {
		return c.name + ":" + strconv.FormatFloat(c.fraction, 'g', -1, 64)
	}
	return c.Name()
}

// Lossless tells whether decoding gives back every bit.
func (c Codec) Lossless() bool { return c.Name() == CodecSafetensors }

// OfDifferences tells whether a codec, by its name, is so coarse that what it codes are differences to what the receiver has: int4, topk and
// lowrank. The others code whole values.
func OfDifferences(codec string) bool {
	return codec == CodecInt4 || codec == CodecTopK || codec == CodecLowRank
}

// Encode makes the blob of a component, which Check must accept.
func (c Codec) Encode(x Component) ([]byte, error) {
	if c.Lossless() {
		var file bytes.Buffer
		if err := Write(&file, x); err != nil {
			return nil, err
		}
		return file.Bytes(), nil
	}
	if err := x.Check(); err != nil {
		return nil, fmt.Errorf("encoding as %s: %w", c, err)
	}
	x.Tensors = slices.SortedFunc(slices.Values(x.Tensors), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	h := header{codec: c.name, name: x.Name, signature: x.Signature}
	for _, t := range x.Tensors {
		h.tensors = append(h.tensors, Tensor{Name: t.Name, Shape: t.Shape})
	}
	var payload []byte
	switch c.name {
	case CodecBF16:
		payload = packBF16(flat(x))
	case CodecInt8, CodecInt4:
		payload = packSteps(x, c.name)
	case CodecTopK:
		payload, h.kept = packTopK(flat(x), c.fraction)
	case CodecLowRank:
		payload = packLowRank(x, c.fraction)
	}
	blob, err := h.seal(payload)
	if err != nil {
		return nil, fmt.Errorf("encoding component %q as %s: %w", x.Name, c, err)
	}
	return blob, nil
}

// Decode reads a blob of a codec by its name. It refuses more than maxParams values before it takes memory for them: a few bytes may
// stand for many zeros, so that maxParams has to be what the caller can use, not what a record claims. The result has passed Check; its tensors are in name order.
func Decode(codec string, blob []byte, maxParams int64) (Component, error) {
	if codec == CodecSafetensors {
		c, err := Read(bytes.NewReader(blob), int64(len(blob)))
		if err == nil && c.Params() > maxParams {
			err = fmt.Errorf("component %q has %d values; at most %d are allowed", c.Name, c.Params(), maxParams)
		}
		if err != nil {
			return Component{}, err
		}
		return c, nil
	}
	c, err := new(Decoder).Decode(codec, blob, maxParams)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return Component{}, err
	}
	return c, nil
}

func (d *Decoder) decode(codec string, blob []byte, maxParams int64) (Component, error) {
	if _, err := ParseCodec(codec); err != nil || strings.Contains(codec, ":") {
		return Component{}, fmt.Errorf("codec %q is not known", codec)
	}
	h, rest, err := readHeader(blob)
	if err != nil {
		return Component{}, err
	}
	if h.codec != codec {
		return Component{}, fmt.Errorf("component %q is encoded as %q", h.name, h.codec)
	}
	if h.params > maxParams {
		return Component{}, fmt.Errorf("component %q has %d values; at most %d are allowed", h.name, h.params, maxParams)
	}
	low, high := h.payloadBytes()
	payload, err := d.open(rest, low, high)
	if err != nil {
		return Component{}, fmt.Errorf("component %q: %w", h.name, err)
	}
	c := Component{Name: h.name, Signature: h.signature, Tensors: h.tensors}
	values := d.space(h.params)
	at := values
	for i, t := range c.Tensors {
		n, _ := elements(t.Shape) // readHeader has counted them
		c.Tensors[i].Data, at = at[:n:n], at[n:]
	}
	switch codec {
	case CodecBF16:
		unpackBF16(values, payload)
	case CodecInt8, CodecInt4:
		err = unpackSteps(c, payload, codec)
	case CodecTopK:
		clear(values)
		err = unpackTopK(values, payload, int(h.kept))
	case CodecLowRank:
		clear(values)
		err = unpackLowRank(c, payload)
	}
	if err != nil {
		return Component{}, fmt.Errorf("component %q: %w", h.name, err)
	}
	return c, nil
}

// flat gives all values of a component, one tensor after the other.
func flat(c Component) []float32 {
	all := make([]float32, 0, c.Params())
	for _, t := range c.Tensors {
		all = append(all, t.Data...)
	}
	return all
}
