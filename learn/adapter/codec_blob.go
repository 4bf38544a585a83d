package adapter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// A blob of a lossy codec is
//
//	"MLC1"
//	codec, component's name, signature     strings: length as uvarint, UTF-8
//	tensors                                uvarint, then each in name order:
//	  name                                 bytes that it begins with as the name before it does (uvarint), and the rest as a string
//	  shape                                dimensions (uvarint), then each dimension (uvarint)
//	kept values                            uvarint; topk alone
//	packing                                one byte: 0 plain; 1 zstd, and the payload's length as uvarint
//	payload                                to the end
//
// with every uvarint in its shortest form. The payload has the values of all tensors, one after the other in the order of the tensors:
//
//	bf16   the upper bytes of all values, then the lower ones
//	int8   the scales of all groups as bf16, little-endian, then a signed byte a value
//	int4   the same scales, then half a byte a value, plus 8, the earlier value in the lower half; an odd end is filled with 8
//	topk   the values that are kept, as for bf16, in rising order of place; then for each the places skipped before it as uvarint
//	lowrank  range coded (range_coder.go), tensor by tensor, its terms (codec_lowrank.go): a bit that says that there is one, 16 bits of its
//	         scale as bf16, the lowest first, and the integers of u and v, each as bits that say it is larger than 0, 1, 2, ..., and a sign; a
//	         0 ends them, but for a tensor with as many as are allowed
const (
	blobMagic     = "MLC1"
	packingPlain  = 0
	packingZstd   = 1
	maxTensors    = 1 << 16
	maxTensorName = 1 << 12   // bytes of any name
	zstdWindow    = 256 << 10 // bytes; the payloads have no long repetitions
)

// compressor and decompressor serve all goroutines; each holds buffers that are dear to make anew for every blob. Both work in the calling
// goroutine, and the decompressor goes no further than the buffer that it is given.
var (
	compressor = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
			zstd.WithWindowSize(zstdWindow), zstd.WithEncoderCRC(false))
	})
	decompressor = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecodeAllCapLimit(true))
	})
)

// header is what a blob says before its payload.
type header struct {
	codec, name, signature string
	tensors                []Tensor // without data
	params                 int64    // of all tensors
	kept                   uint64   // of topk
}

// encode gives the header without the packing byte.
func (h header) encode() ([]byte, error) {
	out := []byte(blobMagic)
	var err error
	text := func(s string, shared int) {
		if len(s) > maxTensorName || !utf8.ValidString(s) {
			err = errors.Join(err, fmt.Errorf("name %.50q is not UTF-8 or longer than %d bytes", s, maxTensorName))
		}
		out = binary.AppendUvarint(out, uint64(len(s)-shared))
		out = append(out, s[shared:]...)
	}
	text(h.codec, 0)
	text(h.name, 0)
	text(h.signature, 0)
	if len(h.tensors) > maxTensors {
		err = errors.Join(err, fmt.Errorf("%d tensors; at most %d are allowed", len(h.tensors), maxTensors))
	}
	out = binary.AppendUvarint(out, uint64(len(h.tensors)))
	before := ""
	for i, t := range h.tensors {
		if i > 0 && t.Name == before {
			err = errors.Join(err, fmt.Errorf("tensor name %q is used twice", t.Name))
		}
		shared := sharedPrefix(before, t.Name)
		out = binary.AppendUvarint(out, uint64(shared))
		text(t.Name, shared)
		before = t.Name
		out = binary.AppendUvarint(out, uint64(len(t.Shape)))
		for _, d := range t.Shape {
			out = binary.AppendUvarint(out, uint64(d))
		}
	}
	if h.codec == CodecTopK {
		out = binary.AppendUvarint(out, h.kept)
	}
	return out, err
}

// sharedPrefix is how many bytes a and b begin with alike. LoRA's names are long and much alike: written in full, they would take more
// than a small adapter's values.
func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// seal puts the payload behind the header, compressed if that is shorter.
func (h header) seal(payload []byte) ([]byte, error) {
	out, err := h.encode()
	if err != nil {
		return nil, err
	}
	packed, err := Pack(payload)
	if err != nil {
		return nil, err
	}
	return append(out, packed...), nil
}

// Pack compresses bytes if that makes them fewer, and puts a byte in front that says so.
func Pack(payload []byte) ([]byte, error) {
	enc, err := compressor()
	if err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	head := binary.AppendUvarint([]byte{packingZstd}, uint64(len(payload)))
	if packed := enc.EncodeAll(payload, head); len(packed) <= len(payload) {
		return packed, nil
	}
	return append([]byte{packingPlain}, payload...), nil
}

// Unpack gives what Pack was given, at most limit bytes; more are an error before memory is taken for them.
func Unpack(packed []byte, limit int64) ([]byte, error) {
	var room []byte
	return unpack(packed, limit, &room)
}

// unpack is Unpack into room, if it has to decompress.
func unpack(packed []byte, limit int64, room *[]byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	payload := packed[1:]
	switch packed[0] {
	case packingPlain:
	case packingZstd:
		dec, err := decompressor()
		if err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		r := &BlobReader{Rest: payload}
		size := r.Uvarint(uint64(max(limit, 0)))
		if r.Err != nil {
			return nil, fmt.Errorf("decompressing: %w", r.Err)
		}
		*room = slices.Grow((*room)[:0], int(size))
		if payload, err = dec.DecodeAll(r.Rest, (*room)[:0:size]); err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		if uint64(len(payload)) != size {
			return nil, fmt.Errorf("decompressing: %d bytes, not %d", len(payload), size)
		}
	default:
		return nil, fmt.Errorf("packing %d is not known", packed[0])
	}
	if n := int64(len(payload)); n > limit {
		return nil, fmt.Errorf("%d bytes; at most %d are allowed", n, limit)
	}
	return payload, nil
}

// readHeader reads what encode wrote, and gives the rest of the blob. Memory is taken for what is there, not for what is claimed.
func readHeader(blob []byte) (header, []byte, error) {
	rest, ok := bytes.CutPrefix(blob, []byte(blobMagic))
	if !ok {
		return header{}, nil, fmt.Errorf("it does not begin with %q", blobMagic)
	}
	r := &BlobReader{Rest: rest}
	h := header{codec: r.name(""), name: r.name(""), signature: r.name("")}
	before := ""
	for i := range r.Uvarint(maxTensors) {
		t := Tensor{Name: r.name(before[:r.Uvarint(uint64(len(before)))]), Shape: []int{}}
		for range r.Uvarint(maxDims) {
			t.Shape = append(t.Shape, int(r.Uvarint(maxDim)))
		}
		if r.Err != nil {
			break
		}
		n, err := elements(t.Shape)
		if err != nil {
			return header{}, nil, fmt.Errorf("component %q: tensor %q: %w", h.name, t.Name, err)
		}
		if i > 0 && t.Name <= before {
			return header{}, nil, fmt.Errorf("component %q: tensor %q occurs twice or out of order", h.name, t.Name)
		}
		before = t.Name
		if h.params > maxElements-n {
			return header{}, nil, fmt.Errorf("component %q: too many values", h.name)
		}
		h.params += n
		h.tensors = append(h.tensors, t)
	}
	if h.codec == CodecTopK {
		h.kept = r.Uvarint(uint64(h.params))
	}
	if r.Err != nil {
		return header{}, nil, fmt.Errorf("header: %w", r.Err)
	}
	if canonical, err := h.encode(); err != nil || !bytes.HasPrefix(blob, canonical) || len(canonical)+len(r.Rest) != len(blob) {
		return header{}, nil, errors.New("header: it is not in its shortest form")
	}
	return h, r.Rest, nil
}

// open gives the payload, which must have low to high bytes.
func (d *Decoder) open(packed []byte, low, high int64) ([]byte, error) {
	payload, err := unpack(packed, high, &d.payload)
	if n := int64(len(payload)); err == nil && n < low {
		err = fmt.Errorf("the payload has %d bytes; want %d to %d", n, low, high)
	}
	return payload, err
}

// payloadBytes is how long the payload of the header's tensors may be.
func (h header) payloadBytes() (low, high int64) {
	switch h.codec {
	case CodecBF16:
		return 2 * h.params, 2 * h.params
	case CodecTopK:
		kept := int64(h.kept)
		return 3 * kept, (2 + binary.MaxVarintLen64) * kept
	case CodecLowRank:
		return 5, 64*int64(1+len(h.tensors)) + 2*h.params
	}
	var groups int64
	for _, t := range h.tensors {
		groups += int64(groupsOf(t).count)
	}
	n := 2*groups + h.params
	if h.codec == CodecInt4 {
		n = 2*groups + (h.params+1)/2
	}
	return n, n
}
