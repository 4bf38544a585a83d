package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A node reads the certificates of all members when it starts, and the header of every record that it hears of. These two are read here by a
// scanner, with the strictness of Decode and about a tenth of its work; all else is left to Decode.

// headerFields are how many fields the payload of a record of Version has.
const headerFields = 8

// scanHeader reads a payload. A newer version may have further fields; they are passed over.
func scanHeader(b []byte) (r Record, err error) {
	var further string
	fields, err := scanMap(b, func(s *scanner, key string) (err error) {
		switch key {
		case "version":
			r.Version, err = s.uint()
		case "kind":
			var text string
			text, err = s.string()
			r.Kind = Kind(text)
		case "federation":
			r.Federation, err = s.cid()
		case "author":
			r.Author, err = s.peer()
		case "seq":
			r.Seq, err = s.uint()
		case "parents":
			r.Parents, err = s.cids()
		case "created":
			r.Created, err = s.int()
		case "body":
			from := s.pos
			err = s.value(1)
			r.Body = s.b[from:s.pos:s.pos]
		default:
			further = key
			err = s.value(1)
		}
		return err
	})
	switch {
	case err != nil:
		return Record{}, err
	case r.Version == Version && further != "":
		return Record{}, fmt.Errorf("%w: unknown field %.40q", ErrInvalid, further)
	case r.Version == Version && fields != headerFields:
		return Record{}, fmt.Errorf("%w: %d fields, not %d", ErrInvalid, fields, headerFields)
	}
	return r, nil
}

// scan reads the body of a certificate.
func (c *Certificate) scan(b []byte) error {
	want := uint64(5)
	fields, err := scanMap(b, func(s *scanner, key string) (err error) {
		switch key {
		case "subject":
			c.Subject, err = s.peer()
		case "name":
			c.Name, err = s.string()
		case "role":
			var text string
			text, err = s.string()
			c.Role = Role(text)
		case "invite":
			c.Invite, err = s.bool()
		case "delegate":
			want++
			if c.Delegate, err = s.bool(); err == nil && !c.Delegate {
				err = errors.New("it is left out when it is false")
			}
		case "heir":
			want++
			if c.Heir, err = s.bytes(); err == nil && len(c.Heir) == 0 {
				err = errors.New("it is left out when it is empty")
			}
		case "expires":
			c.Expires, err = s.int()
		default:
			err = fmt.Errorf("%w: unknown field", ErrInvalid)
		}
		return err
	})
	if err == nil && fields != want {
		err = fmt.Errorf("%w: %d fields, not %d", ErrNotCanonical, fields, want)
	}
	return err
}

// scanMap reads a map that is all of b, calls field for what follows each key, and counts the keys.
func scanMap(b []byte, field func(s *scanner, key string) error) (fields uint64, err error) {
	s := &scanner{b: b}
	major, fields, err := s.head()
	if err == nil && major != majorMap {
		err = errors.New("not a map")
	}
	if err == nil {
		err = s.each(fields, func(key string) error {
			if err := field(s, key); err != nil {
				return fmt.Errorf("%.40s: %w", key, err)
			}
			return nil
		})
	}
	if err == nil && s.pos != len(b) {
		err = fmt.Errorf("%d bytes after the value", len(b)-s.pos)
	}
	if err != nil && !errors.Is(err, ErrInvalid) {
		err = fmt.Errorf("%w: byte %d: %w", ErrNotCanonical, s.pos, err)
	}
	return fields, err
}

// expect reads a head of a major type.
func (s *scanner) expect(want byte, what string) (n uint64, err error) {
	major, n, err := s.head()
	if err == nil && major != want {
		err = fmt.Errorf("%w: not %s", ErrInvalid, what)
	}
	return n, err
}

func (s *scanner) uint() (uint64, error) { return s.expect(majorUint, "a number from 0 on") }

func (s *scanner) int() (int64, error) {
	major, n, err := s.head()
	switch {
	case err != nil:
		return 0, err
	case major > majorNegInt || n > math.MaxInt64:
		return 0, fmt.Errorf("%w: not an integer of 64 bits", ErrInvalid)
	case major == majorNegInt:
		return -1 - int64(n), nil
	}
	return int64(n), nil
}

func (s *scanner) string() (string, error) {
	n, err := s.expect(majorText, "text")
	if err != nil {
		return "", err
	}
	return s.text(n)
}

func (s *scanner) bytes() ([]byte, error) {
	n, err := s.expect(majorBytes, "bytes")
	if err != nil {
		return nil, err
	}
	b, err := s.take(n)
	return bytes.Clone(b), err
}

func (s *scanner) bool() (bool, error) {
	b, err := s.take(1)
	if err != nil {
		return false, err
	}
	if b[0] != cborFalse && b[0] != cborTrue {
		return false, fmt.Errorf("%w: neither true nor false", ErrInvalid)
	}
	return b[0] == cborTrue, nil
}

func (s *scanner) peer() (peer.ID, error) {
	n, err := s.expect(majorBytes, "a peer id")
	if err != nil {
		return "", err
	}
	b, err := s.take(n)
	if err != nil {
		return "", err
	}
	id, err := peer.IDFromBytes(b)
	if err != nil {
		return "", fmt.Errorf("%w: peer id: %w", ErrInvalid, err)
	}
	return id, nil
}

// cid reads a CID, or null for none.
func (s *scanner) cid() (cid.Cid, error) {
	if s.pos < len(s.b) && s.b[s.pos] == cborNull {
		s.pos++
		return cid.Undef, nil
	}
	tag, err := s.expect(majorTag, "a CID")
	if err != nil {
		return cid.Undef, err
	}
	return s.link(tag)
}

func (s *scanner) cids() ([]cid.Cid, error) {
	n, err := s.expect(majorArray, "a list of CIDs")
	if err != nil {
		return nil, err
	}
	list := []cid.Cid{}
	for range n { // however many are said to come: bytes that are not there end it
		c, err := s.cid()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}
