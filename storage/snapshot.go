package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/dgraph-io/badger/v4"
)

// Snapshot writes the index as it is at one moment, while the store may be in use. Blobs are not in it; those that its records name were stored
// before them.
func (s *Store) Snapshot(w io.Writer) error {
	if err := s.enter(); err != nil {
		return fmt.Errorf("snapshot of %s: %w", s.home, err)
	}
	defer s.leave()
	if _, err := s.db.Backup(w, 0); err != nil {
		return fmt.Errorf("snapshot of %s: %w", s.home, err)
	}
	return nil
}

const (
	pendingWrites = 16        // that a restore keeps in memory
	maxPart       = 256 << 20 // bytes of a part of a snapshot; Badger writes parts of at most 100 MiB and one value
)

// RestoreIndex makes the index of a home from a snapshot, also from one of an older schema. The home must have none. The snapshot is not trusted:
// every record is checked as Check does, what is damaged is left out, and told of as faults.
func RestoreIndex(ctx context.Context, home string, r io.Reader) (faults []Fault, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore index of %s: %w", home, err)
		}
	}()
	s := newStore(home, Options{})
	if _, err := os.Stat(s.indexDir()); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is one: %w", fs.ErrExist)
	}
	// The snapshot comes first: whether its schema or one written before it counts must not hang on the order of their numbers.
	s.load = func(db *badger.DB) error { return loadIndex(db, r) }
	if err := s.openForWriting(); err != nil {
		return nil, err
	}
	health, err := s.checkParts(ctx, true, checkup.records, checkup.entries, checkup.number)
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	return health.Faults, nil
}

// loadIndex reads a snapshot. Badger panics on some damage to it.
func loadIndex(db *badger.DB, r io.Reader) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return db.Load(&parts{r: r}, pendingWrites)
}

// parts reads a snapshot, and refuses a part that is too large: Badger takes memory for each by its length, 8 bytes in little endian before it.
type parts struct {
	r      io.Reader
	length []byte // that is yet to be passed on
	left   uint64 // of the part, after its length
}

func (p *parts) Read(b []byte) (int, error) {
	if len(p.length) == 0 && p.left == 0 {
		p.length = make([]byte, 8)
		if _, err := io.ReadFull(p.r, p.length); err != nil {
			p.length = nil
			return 0, err
		}
		if p.left = binary.LittleEndian.Uint64(p.length); p.left > maxPart {
			return 0, fmt.Errorf("%w: a part of the snapshot has %d bytes, more than %d", ErrCorrupt, p.left, maxPart)
		}
	}
	if len(p.length) > 0 {
		n := copy(b, p.length)
		p.length = p.length[n:]
		return n, nil
	}
	n, err := p.r.Read(b[:min(uint64(len(b)), p.left)])
	p.left -= uint64(n)
	return n, err
}
