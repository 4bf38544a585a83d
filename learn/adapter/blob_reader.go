package adapter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// BlobReader takes bytes from outside apart, in the forms that blobs are made of. After the first error it gives zeros.
type BlobReader struct {
	Rest []byte // what has not been read
	Err  error  // the first error
}

// Uvarint reads a number of at most most. It refuses any form but the shortest: equal content must have equal bytes.
func (r *BlobReader) Uvarint(most uint64) uint64 {
	if r.Err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.Rest)
	switch {
	case n <= 0:
		r.Err = io.ErrUnexpectedEOF
	case n > 1 && r.Rest[n-1] == 0:
		r.Err = errors.New("a number is not in its shortest form")
	case v > most:
		r.Err = fmt.Errorf("%d is more than %d", v, most)
	default:
		r.Rest = r.Rest[n:]
		return v
	}
	return 0
}

// Bytes reads n bytes, which stay where they are; nil after an error.
func (r *BlobReader) Bytes(n uint64) []byte {
	if r.Err == nil && n > uint64(len(r.Rest)) {
		r.Err = io.ErrUnexpectedEOF
	}
	if r.Err != nil {
		return nil
	}
	b := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return b
}

// name reads what follows prefix in a name.
func (r *BlobReader) name(prefix string) string {
	s := prefix + string(r.Bytes(r.Uvarint(uint64(maxTensorName-len(prefix)))))
	if r.Err == nil && !utf8.ValidString(s) {
		r.Err = fmt.Errorf("name %.50q is not UTF-8", s)
	}
	return s
}
