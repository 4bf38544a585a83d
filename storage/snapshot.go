package storage

import (
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

// pendingWrites bounds what a restore keeps in memory.
const pendingWrites = 16

// RestoreIndex makes the index of a home from a snapshot, also from one of an older schema. The home must have none.
func RestoreIndex(home string, r io.Reader) error {
	s := newStore(home, Options{})
	if _, err := os.Stat(s.indexDir()); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore index of %s: there is one: %w", home, fs.ErrExist)
	}
	// The snapshot comes first: whether its schema or one written before it counts must not hang on the order of their numbers.
	s.load = func(db *badger.DB) error { return loadIndex(db, r) }
	if err := s.openForWriting(); err != nil {
		return fmt.Errorf("restore index of %s: %w", home, err)
	}
	return s.Close()
}

// loadIndex reads a snapshot. Badger panics on some damage to it.
func loadIndex(db *badger.DB, r io.Reader) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return db.Load(r, pendingWrites)
}
