package adapter

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxHeader    = 16 << 20          // bytes of the JSON header
	maxDims      = 16                // of one tensor
	metadataName = "__metadata__"    // reserved key of the header
	chunkBytes   = 64 << 10          // converted at a time
	maxDim       = math.MaxInt32     // of one tensor's shape
	maxElements  = math.MaxInt64 / 8 // of one tensor, so that byte counts cannot overflow
)

// WriteTensors writes a safetensors file: the header's length (8 bytes, little-endian), the header (JSON, padded with spaces to a multiple
// of 8), and the data as little-endian F32. Tensors are written in name order, so that the bytes depend on nothing but the content.
func WriteTensors(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	sorted := slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	header, err := encodeHeader(sorted, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("writing the header: %w", err)
	}
	buf := make([]byte, 0, chunkBytes)
	for _, t := range sorted {
		for part := range slices.Chunk(t.Data, chunkBytes/4) {
			buf = buf[:0]
			for _, v := range part {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
			if _, err := w.Write(buf); err != nil {
				return fmt.Errorf("writing tensor %q: %w", t.Name, err)
			}
		}
	}
	return nil
}

// encodeHeader gives the length prefix and the header of tensors, which are sorted by name.
func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	h := headerBuffer{}
	h.Write(make([]byte, 8))
	h.WriteByte('{')
	if len(metadata) > 0 {
		h.text(metadataName)
		h.WriteString(":{")
		for i, k := range slices.Sorted(maps.Keys(metadata)) {
			if i > 0 {
				h.WriteByte(',')
			}
			h.text(k)
			h.WriteByte(':')
			h.text(metadata[k])
		}
		h.WriteByte('}')
	}
	var offset int64
	for i, t := range tensors {
		if t.Name == metadataName || (i > 0 && t.Name == tensors[i-1].Name) {
			return nil, fmt.Errorf("tensor name %q is reserved or used twice", t.Name)
		}
		n, err := elements(t.Shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if n != int64(len(t.Data)) {
			return nil, fmt.Errorf("tensor %q has %d values for shape %v", t.Name, len(t.Data), t.Shape)
		}
		if i > 0 || len(metadata) > 0 {
			h.WriteByte(',')
		}
		h.text(t.Name)
		shape := strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ",")
		fmt.Fprintf(&h, `:{"dtype":"F32","shape":%s,"data_offsets":[%d,%d]}`, shape, offset, offset+4*n)
		offset += 4 * n
	}
	h.WriteByte('}')
	for h.Len()%8 != 0 {
		h.WriteByte(' ')
	}
	if h.err != nil {
		return nil, h.err
	}
	if h.Len()-8 > maxHeader {
		return nil, fmt.Errorf("the header would take %d bytes; at most %d are allowed", h.Len()-8, maxHeader)
	}
	header := h.Bytes()
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, nil
}

// headerBuffer keeps the first error of text.
type headerBuffer struct {
	bytes.Buffer
	err error
}

// text appends s as a JSON string. JSON cannot hold other bytes than UTF-8, and would replace them silently.
func (h *headerBuffer) text(s string) {
	if !utf8.ValidString(s) {
		h.err = errors.Join(h.err, fmt.Errorf("name or metadata %q is not UTF-8", s))
		return
	}
	encoded, err := json.Marshal(s)
	h.err = errors.Join(h.err, err)
	h.Write(encoded)
}

// elements is the product of shape, with limits that make overflow impossible.
func elements(shape []int) (int64, error) {
	if len(shape) > maxDims {
		return 0, fmt.Errorf("%d dimensions; at most %d are allowed", len(shape), maxDims)
	}
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > maxDim {
			return 0, fmt.Errorf("dimension %d is out of range", d)
		}
		if d > 0 && n > maxElements/int64(d) {
			return 0, fmt.Errorf("shape %v has too many elements", shape)
		}
		n *= int64(d)
	}
	return n, nil
}
