package adapter

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// entry is one tensor of the header.
type entry struct {
	name    string
	skip    bool
	DType   string  `json:"dtype"`
	Shape   []int   `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// ReadTensors reads a safetensors file of F32, F16 or BF16 tensors, all widened to float32, with its metadata. It takes at most limit
// bytes, and refuses duplicate names, gaps, overlaps and bytes after the last tensor. Memory is taken as data arrive, never for what a
// header merely claims. Tensors come in name order.
func ReadTensors(r io.Reader, limit int64) ([]Tensor, map[string]string, error) {
	return ReadTensorsExcept(r, limit, func(string) bool { return false })
}

// ReadTensorsExcept is ReadTensors without the tensors whose names skip is true for. Those may be of any type; nothing is kept of them.
func ReadTensorsExcept(r io.Reader, limit int64, skip func(name string) bool) ([]Tensor, map[string]string, error) {
	entries, metadata, err := readHead(r, limit, skip)
	if err != nil {
		return nil, nil, err
	}
	var tensors []Tensor
	for _, e := range entries {
		var data []float32
		if e.skip {
			_, err = io.CopyN(io.Discard, r, e.Offsets[1]-e.Offsets[0])
		} else {
			data, err = readValues(r, e)
			tensors = append(tensors, Tensor{Name: e.name, Shape: e.Shape, Data: data})
		}
		if err != nil {
			return nil, nil, fmt.Errorf("safetensors: reading tensor %q: %w", e.name, err)
		}
	}
	var beyond [1]byte
	if n, err := io.ReadFull(r, beyond[:]); n != 0 || err != io.EOF {
		if n == 0 {
			return nil, nil, fmt.Errorf("safetensors: reading the end: %w", err)
		}
		return nil, nil, errors.New("safetensors: bytes follow the last tensor")
	}
	slices.SortFunc(tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return tensors, metadata, nil
}

// readHead reads a file up to its data, and gives the tensors in the order of these.
func readHead(r io.Reader, limit int64, skip func(name string) bool) ([]entry, map[string]string, error) {
	var prefix [8]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, nil, fmt.Errorf("safetensors: reading the header's length: %w", err)
	}
	size := binary.LittleEndian.Uint64(prefix[:])
	if size > maxHeader || int64(size) > limit-8 {
		return nil, nil, fmt.Errorf("safetensors: the header claims %d bytes; at most %d are allowed", size, min(maxHeader, limit-8))
	}
	header, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return nil, nil, fmt.Errorf("safetensors: reading the header: %w", err)
	}
	if uint64(len(header)) != size {
		return nil, nil, fmt.Errorf("safetensors: the file ends within its header: %w", io.ErrUnexpectedEOF)
	}
	entries, metadata, err := decodeHeader(header)
	if err != nil {
		return nil, nil, fmt.Errorf("safetensors: %w", err)
	}
	for i := range entries {
		entries[i].skip = skip(entries[i].name)
	}
	if err := checkLayout(entries, limit-8-int64(size)); err != nil {
		return nil, nil, fmt.Errorf("safetensors: %w", err)
	}
	return entries, metadata, nil
}

// decodeHeader walks the header token by token, because encoding/json lets a second value of one key win without a word.
func decodeHeader(header []byte) ([]entry, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.DisallowUnknownFields()
	var entries []entry
	metadata := map[string]string{}
	seen := map[string]bool{}
	err := decodeObject(dec, func(key string) error {
		if seen[key] {
			return fmt.Errorf("header key %q occurs twice", key)
		}
		seen[key] = true
		if key == metadataName {
			return decodeObject(dec, func(key string) error {
				if _, twice := metadata[key]; twice {
					return fmt.Errorf("metadata key %q occurs twice", key)
				}
				var value *string
				if err := dec.Decode(&value); err != nil {
					return fmt.Errorf("metadata %q: %w", key, err)
				}
				if value == nil {
					return fmt.Errorf("metadata %q is null", key)
				}
				metadata[key] = *value
				return nil
			})
		}
		e := entry{name: key}
		if err := dec.Decode(&e); err != nil {
			return fmt.Errorf("header of tensor %q: %w", key, err)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if rest := bytes.TrimRight(header[dec.InputOffset():], " "); len(rest) > 0 {
		return nil, nil, errors.New("the header does not end after its object")
	}
	return entries, metadata, nil
}

// decodeObject reads one JSON object from dec and calls value for every key; value reads what belongs to the key.
func decodeObject(dec *json.Decoder, value func(key string) error) error {
	open, err := dec.Token()
	if err != nil {
		return fmt.Errorf("header is not JSON: %w", err)
	}
	if open != json.Delim('{') {
		return fmt.Errorf("header has %v where an object must start", open)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("header is not JSON: %w", err)
		}
		if err := value(key.(string)); err != nil { // inside an object the decoder takes nothing but strings as keys
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("header is not JSON: %w", err)
	}
	return nil
}

// checkLayout sorts entries by offset, and checks that they fill the data part without gap or overlap, and that it fits into limit.
func checkLayout(entries []entry, limit int64) error {
	for _, e := range entries {
		if len(e.Offsets) != 2 || e.Shape == nil {
			return fmt.Errorf("tensor %q: the header needs dtype, shape and two data_offsets", e.name)
		}
		if e.skip {
			if e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1] > limit {
				return fmt.Errorf("tensor %q: offsets %v are out of range", e.name, e.Offsets)
			}
			continue
		}
		n, err := elements(e.Shape)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", e.name, err)
		}
		size, ok := floatSizes[e.DType]
		if !ok {
			return fmt.Errorf("tensor %q: dtype %q is not F32, F16 or BF16", e.name, e.DType)
		}
		if n > limit/size {
			return fmt.Errorf("tensor %q: %v of %s does not fit into the limit of %d bytes", e.name, e.Shape, e.DType, limit)
		}
		if e.Offsets[0] < 0 || e.Offsets[0] > limit || e.Offsets[1] != e.Offsets[0]+n*size {
			return fmt.Errorf("tensor %q: offsets %v do not hold %v of %s", e.name, e.Offsets, e.Shape, e.DType)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(slices.Compare(a.Offsets, b.Offsets), strings.Compare(a.name, b.name))
	})
	var end int64
	for _, e := range entries {
		if e.Offsets[0] != end {
			return fmt.Errorf("tensor %q starts at %d; the one before it ends at %d", e.name, e.Offsets[0], end)
		}
		end = e.Offsets[1]
	}
	if end > limit {
		return fmt.Errorf("%d bytes of data; at most %d are allowed", end, limit)
	}
	return nil
}

// readValues reads the values of e, which come next in r.
func readValues(r io.Reader, e entry) ([]float32, error) {
	size, left := floatSizes[e.DType], e.Offsets[1]-e.Offsets[0]
	data := make([]float32, 0, min(left, 1<<20)/size)
	buf := make([]byte, min(left, chunkBytes))
	for left > 0 {
		part := buf[:min(left, chunkBytes)]
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, err
		}
		data = appendFloats(data, part, e.DType)
		left -= int64(len(part))
	}
	return data, nil
}
