package adapter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"
)

// Decoder decodes one blob after another into the same memory: what it gives is good until its next call, and lies in the blob itself
// where that holds float32 values. The zero Decoder is ready; it is not for several goroutines at a time.
type Decoder struct {
	values  []float32
	payload []byte
}

// Decode is the function of that name, but for one check: values may be infinite or NaN.
func (d *Decoder) Decode(codec string, blob []byte, maxParams int64) (Component, error) {
	decode := d.decode
	if codec == CodecSafetensors {
		decode = d.view
	}
	c, err := decode(codec, blob, maxParams)
	if err != nil {
		return Component{}, fmt.Errorf("decoding %s: %w", codec, err)
	}
	return c, nil
}

// space gives n values in a row, of any content.
func (d *Decoder) space(n int64) []float32 {
	d.values = slices.Grow(d.values[:0], int(n))[:n]
	return d.values
}

// view gives the component of a safetensors file, with values where they lie if they can be used there.
func (d *Decoder) view(_ string, blob []byte, maxParams int64) (Component, error) {
	r := bytes.NewReader(blob)
	entries, metadata, err := readHead(r, int64(len(blob)), func(string) bool { return false })
	if err != nil {
		return Component{}, err
	}
	var params, size int64
	for _, e := range entries {
		n, _ := elements(e.Shape) // checked with the layout
		params, size = params+n, e.Offsets[1]
	}
	if params > maxParams {
		return Component{}, fmt.Errorf("component %q has %d values; at most %d are allowed", metadata[metaName], params, maxParams)
	}
	data := blob[len(blob)-r.Len():]
	if int64(len(data)) != size {
		return Component{}, errors.New("safetensors: bytes follow the last tensor")
	}
	c := Component{Name: metadata[metaName], Signature: metadata[metaSignature]}
	var room []float32
	for _, e := range entries {
		raw := data[e.Offsets[0]:e.Offsets[1]]
		values, ok := floats(raw)
		if e.DType != "F32" || !ok {
			if room == nil {
				room = d.space(params)[:0]
			}
			room = appendFloats(room[len(room):], raw, e.DType)
			values = room
		}
		c.Tensors = append(c.Tensors, Tensor{Name: e.name, Shape: e.Shape, Data: values})
	}
	slices.SortFunc(c.Tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// floats is raw as the little-endian float32 values that it holds, in the same memory; false where a machine cannot read them there.
func floats(raw []byte) ([]float32, bool) {
	if len(raw) == 0 {
		return nil, true
	}
	first := unsafe.Pointer(&raw[0])
	if !littleEndian || uintptr(first)%unsafe.Alignof(float32(0)) != 0 {
		return nil, false
	}
	return unsafe.Slice((*float32)(first), len(raw)/4), true
}
