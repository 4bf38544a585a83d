package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
)

// maxDepth bounds nesting of arrays, maps and tags; the deepest body needs 7.
const maxDepth = 16

// CBOR major types (RFC 8949, 3.1) and the tag of a CID.
const (
	majorUint   = 0
	majorNegInt = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6

	tagCID = 42

	cborFalse = 0xf4
	cborTrue  = 0xf5
	cborNull  = 0xf6
)

// scanner walks CBOR bytes and accepts only the one DAG-CBOR form of each value. Unlike a decode and re-encode it needs no Go
// type, so that records of unknown kinds are held to the same form.
type scanner struct {
	b     []byte
	pos   int
	links []cid.Cid // met so far
}

// checkCanonical tells whether b is exactly one DAG-CBOR value. Errors wrap ErrNotCanonical.
func checkCanonical(b []byte) error {
	s := scanner{b: b}
	if err := s.value(0); err != nil {
		return fmt.Errorf("%w: byte %d: %w", ErrNotCanonical, s.pos, err)
	}
	if s.pos != len(b) {
		return fmt.Errorf("%w: %d bytes after the value", ErrNotCanonical, len(b)-s.pos)
	}
	return nil
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	if s.pos < len(s.b) && s.b[s.pos]>>5 == 7 {
		return s.simple()
	}
	major, n, err := s.head()
	if err != nil {
		return err
	}
	switch major {
	case majorUint, majorNegInt:
		return nil
	case majorBytes:
		_, err = s.take(n)
		return err
	case majorText:
		_, err = s.text(n)
		return err
	case majorArray:
		for range n {
			if err := s.value(depth + 1); err != nil {
				return err
			}
		}
		return nil
	case majorMap:
		return s.entries(n, depth)
	default:
		c, err := s.link(n)
		s.links = append(s.links, c)
		return err
	}
}

// head reads a major type and its argument, which must be in the shortest form.
func (s *scanner) head() (major byte, n uint64, err error) {
	if s.pos >= len(s.b) {
		return 0, 0, fmt.Errorf("ends early")
	}
	first := s.b[s.pos]
	s.pos++
	major, info := first>>5, first&0x1f
	if info < 24 {
		return major, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, fmt.Errorf("indefinite or reserved length")
	}
	width := 1 << (info - 24)
	arg, err := s.take(uint64(width))
	if err != nil {
		return 0, 0, err
	}
	var wide [8]byte
	copy(wide[8-width:], arg)
	n = binary.BigEndian.Uint64(wide[:])
	least := map[int]uint64{1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[width]
	if n < least {
		return 0, 0, fmt.Errorf("%d is not in its shortest form", n)
	}
	return major, n, nil
}

func (s *scanner) take(n uint64) ([]byte, error) {
	if n > uint64(len(s.b)-s.pos) {
		return nil, fmt.Errorf("ends early")
	}
	out := s.b[s.pos : s.pos+int(n)]
	s.pos += int(n)
	return out, nil
}

func (s *scanner) text(n uint64) (string, error) {
	b, err := s.take(n)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("text is not UTF-8")
	}
	return string(b), nil
}

func (s *scanner) entries(n uint64, depth int) error {
	return s.each(n, func(string) error { return s.value(depth + 1) })
}

// each reads the n keys of a map, which must be in order, and calls value for what follows each.
func (s *scanner) each(n uint64, value func(key string) error) error {
	last := ""
	for i := range n {
		major, size, err := s.head()
		if err != nil {
			return err
		}
		if major != majorText {
			return fmt.Errorf("map key is not text")
		}
		key, err := s.text(size)
		if err != nil {
			return err
		}
		if i > 0 && !keyLess(last, key) {
			return fmt.Errorf("map key %.40q after %.40q: unsorted or twice", key, last)
		}
		last = key
		if err := value(key); err != nil {
			return err
		}
	}
	return nil
}

// keyLess is the map key order of DAG-CBOR: shorter first, then bytewise (RFC 7049, 3.9).
func keyLess(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// link reads what follows a tag.
func (s *scanner) link(tag uint64) (cid.Cid, error) {
	if tag != tagCID {
		return cid.Undef, fmt.Errorf("tag %d; only %d (CID) is allowed", tag, tagCID)
	}
	major, n, err := s.head()
	if err != nil {
		return cid.Undef, err
	}
	if major != majorBytes {
		return cid.Undef, fmt.Errorf("a CID must be a byte string")
	}
	b, err := s.take(n)
	if err != nil {
		return cid.Undef, err
	}
	return linkFromBytes(b)
}

// linkFromBytes reads the content of tag 42: the multibase identity prefix 0x00 and a binary CID.
func linkFromBytes(b []byte) (cid.Cid, error) {
	if len(b) == 0 || b[0] != 0 {
		return cid.Undef, fmt.Errorf("a CID must begin with byte 0x00")
	}
	c, err := cid.Cast(b[1:])
	if err != nil {
		return cid.Undef, fmt.Errorf("CID: %w", err)
	}
	return c, nil
}

// simple reads false, true, null or a 64-bit float.
func (s *scanner) simple() error {
	first := s.b[s.pos]
	s.pos++
	switch first {
	case cborFalse, cborTrue, cborNull:
		return nil
	case 0xfb:
		b, err := s.take(8)
		if err != nil {
			return err
		}
		if f := math.Float64frombits(binary.BigEndian.Uint64(b)); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("float is not finite")
		}
		return nil
	default:
		return fmt.Errorf("simple value or float 0x%02x is not allowed", first)
	}
}
