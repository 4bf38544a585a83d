package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"
)

// migrations[i] brings an index of schema i+1 to the next one. Each adds to what is there, so that one that was interrupted is run again
// from its beginning, and the schema is written once it is done.
var migrations = []func(*migration) error{addTimeline}

// errOutdated says that an index has to be opened for writing once, to be brought to this program's schema.
var errOutdated = errors.New("the index has an older schema")

// migrate brings an index to this program's schema. An empty one gets it at once.
func migrate(db *badger.DB, readOnly bool, space *spaceGuard, log *slog.Logger) error {
	value, err := readMeta(db, schemaKey)
	if err != nil {
		return fmt.Errorf("read schema of index: %w", err)
	}
	if value == nil {
		if readOnly {
			return nil // a home whose node never got as far as writing
		}
		return writeSchema(db, schema)
	}
	found, err := strconv.Atoi(string(value))
	switch {
	case err != nil || found < 1:
		return fmt.Errorf("%w: its schema is %.20q, this program's is %d; restore a backup", ErrSchema, value, schema)
	case found > schema:
		return fmt.Errorf("%w: its schema is %d, this program's is %d; use the program that wrote it, or a newer one", ErrSchema, found, schema)
	case found < schema && readOnly:
		return errOutdated
	}
	for ; found < schema; found++ {
		log.Info("index is brought to a newer schema", "from", found, "to", found+1)
		m := &migration{db: db, space: space}
		if err := migrations[found-1](m); err != nil {
			return fmt.Errorf("bring index from schema %d to %d (nothing is lost, the next start goes on): %w", found, found+1, err)
		}
		if err := writeSchema(db, found+1); err != nil {
			return err
		}
	}
	return nil
}

func writeSchema(db *badger.DB, n int) error {
	err := db.Update(func(txn *badger.Txn) error { return txn.Set(schemaKey, []byte(strconv.Itoa(n))) })
	if err != nil {
		return fmt.Errorf("write schema of index: %w", err)
	}
	return nil
}

// migration is one run of a migration.
type migration struct {
	db      *badger.DB
	space   *spaceGuard
	pending []indexEntry
	commits int
	limit   int // commits before it fails, for tests; 0: none
}

// migrationBatch is how many entries one transaction takes. Tests take fewer.
var migrationBatch = 2000

var errInterrupted = errors.New("interrupted")

// set adds an entry, soon.
func (m *migration) set(list ...indexEntry) error {
	m.pending = append(m.pending, list...)
	if len(m.pending) < migrationBatch {
		return nil
	}
	return m.commit()
}

func (m *migration) commit() error {
	if m.limit > 0 && m.commits == m.limit {
		return errInterrupted
	}
	var size int64
	for _, e := range m.pending {
		size += int64(len(e.key) + len(e.value))
	}
	if err := m.space.check(size); err != nil {
		return err
	}
	m.commits++
	err := m.db.Update(func(txn *badger.Txn) error {
		for _, e := range m.pending {
			if err := txn.Set(e.key, e.value); err != nil {
				return err
			}
		}
		return nil
	})
	m.pending = m.pending[:0]
	return err
}

// addTimeline makes the tables of places in the timeline and of rounds, and counts the records. A record that cannot be read gets no entries:
// fsck tells of it.
func addTimeline(m *migration) error {
	var count int64
	err := m.db.View(func(txn *badger.Txn) error {
		return eachKey(txn, []byte{tableRecord}, func(item *badger.Item) error {
			count++
			c, err := cid.Cast(item.Key()[1:])
			if err != nil {
				return nil
			}
			r, err := getRecord(txn, c)
			if errors.Is(err, ErrCorrupt) {
				return nil
			}
			if err != nil {
				return err
			}
			return m.set(laterEntries(r)...)
		})
	})
	if err != nil {
		return err
	}
	if err := m.commit(); err != nil {
		return err
	}
	return m.db.Update(func(txn *badger.Txn) error { return setCount(txn, count) })
}
