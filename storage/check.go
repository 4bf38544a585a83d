package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/storage/record"
)

// Fault is something in a home that is not as it should be.
type Fault struct {
	What     string // the record, blob or entry of the index
	Why      string
	Repaired bool
}

// Health is what Check found.
type Health struct {
	Records int
	Blobs   int
	Bytes   int64 // of blobs
	Faults  []Fault
}

// Check reads everything: that each record's signature, body and id are right and its entries in the index whole, and that each blob is what its
// name says. With repair it removes what is damaged, so that it can be fetched from other members again, and rebuilds the index's entries. It
// may run while the store is in use.
func (s *Store) Check(ctx context.Context, repair bool) (*Health, error) {
	if repair && s.opt.ReadOnly {
		return nil, fmt.Errorf("check home %s: %w", s.home, ErrReadOnly)
	}
	h, err := s.checkParts(ctx, repair, checkup.records, checkup.entries, checkup.number, checkup.blobs)
	if err != nil {
		return nil, fmt.Errorf("check home %s: %w", s.home, err)
	}
	return h, nil
}

// checkParts is Check of some parts, in their order.
func (s *Store) checkParts(ctx context.Context, repair bool, parts ...func(checkup, context.Context) error) (*Health, error) {
	c := checkup{Store: s, health: &Health{Faults: []Fault{}}, repair: repair}
	if repair {
		defer s.forgetTimeline()
	}
	for _, part := range parts {
		if err := part(c, ctx); err != nil {
			return nil, err
		}
	}
	return c.health, nil
}

// checkup is one run of Check.
type checkup struct {
	*Store
	health *Health
	repair bool
}

// fault notes a finding, and mends it if that is wanted.
func (c checkup) fault(mend func() error, what, why string, args ...any) error {
	f := Fault{What: what, Why: fmt.Sprintf(why, args...)}
	if c.repair && mend != nil {
		if err := mend(); err != nil {
			return fmt.Errorf("repair %s: %w", what, err)
		}
		f.Repaired = true
	}
	c.health.Faults = append(c.health.Faults, f)
	return nil
}

// each calls f for every key of a table and its value. Keys are listed first, which takes ten megabytes for a hundred thousand records, so that
// f may change the table; entries that vanish meanwhile are left out.
func (c checkup) each(ctx context.Context, table byte, f func(key, value []byte) error) error {
	keys, err := c.keys(table)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		value, err := c.value(key)
		if err != nil {
			return err
		}
		if value == nil {
			continue
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (c checkup) keys(table byte) (keys [][]byte, err error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	err = c.db.View(func(txn *badger.Txn) error {
		return eachKey(txn, []byte{table}, func(item *badger.Item) error {
			keys = append(keys, item.KeyCopy(nil))
			return nil
		})
	})
	return keys, err
}

// value reads one key; nil if it has vanished.
func (c checkup) value(key []byte) (value []byte, err error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	err = c.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err = item.ValueCopy([]byte{})
		return err
	})
	return value, err
}

// change sets keys to values, or deletes those whose value is nil.
func (c checkup) change(entries map[string][]byte) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	return c.db.Update(func(txn *badger.Txn) error {
		for key, value := range entries {
			var err error
			if value == nil {
				err = txn.Delete([]byte(key))
			} else {
				err = txn.Set([]byte(key), value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// records checks each record, and that the other tables lead to it.
func (c checkup) records(ctx context.Context) error {
	return c.each(ctx, tableRecord, func(key, value []byte) error {
		remove := func() error { return c.change(map[string][]byte{string(key): nil}) }
		c.health.Records++
		id, err := cid.Cast(key[1:])
		if err != nil {
			return c.fault(remove, fmt.Sprintf("record under key %x", key[1:]), "its key is no CID")
		}
		r, why := readRecord(id, value)
		if why != nil {
			return c.fault(remove, "record "+id.String(), "%v", why)
		}
		for _, want := range indexEntries(r, binary.BigEndian.Uint64(value)) {
			got, err := c.value(want.key)
			if err != nil {
				return err
			}
			if got != nil && bytes.Equal(got, want.value) {
				continue
			}
			mend := func() error { return c.change(map[string][]byte{string(want.key): want.value}) }
			if err := c.fault(mend, "record "+id.String(), "it is missing in the table %q", want.key[0]); err != nil {
				return err
			}
		}
		return nil
	})
}

// number checks how many records there are said to be.
func (c checkup) number(context.Context) error {
	c.putting.Lock()
	defer c.putting.Unlock()
	keys, err := c.keys(tableRecord)
	if err != nil || len(keys) == c.Count() {
		return err
	}
	recount := func() error {
		n := uint64(len(keys))
		c.count.Store(int64(n))
		return c.change(map[string][]byte{string(countKey): binary.BigEndian.AppendUint64(nil, n)})
	}
	return c.fault(recount, "number of records", "%d are counted and there are %d", c.Count(), len(keys))
}

// readRecord opens a stored record as if it came from outside.
func readRecord(id cid.Cid, value []byte) (*record.Signed, error) {
	if len(value) < 8 {
		return nil, ErrCorrupt
	}
	r, err := record.Open(value[8:])
	if err == nil && r.CID != id {
		err = fmt.Errorf("%w: it is %s", ErrCorrupt, r.CID)
	}
	return r, err
}

// entries checks that what the tables beside that of records lead to is there.
func (c checkup) entries(ctx context.Context) error {
	for _, table := range []byte{tableArrival, tableKind, tableAuthor, tableTimeline, tableRound} {
		err := c.each(ctx, table, func(key, value []byte) error {
			if id, err := entryCID(key, func(f func([]byte) error) error { return f(value) }); err == nil && c.HasRecord(id) {
				return nil
			}
			remove := func() error { return c.change(map[string][]byte{string(key): nil}) }
			return c.fault(remove, fmt.Sprintf("entry %x of the table %q", key[1:], table), "it leads to no record")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// blobs checks every file against its name.
func (c checkup) blobs(ctx context.Context) error {
	for file, err := range c.blobFiles() {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		remove := func() error { return os.Remove(file.path) }
		if !file.id.Defined() {
			if err := c.fault(remove, "file "+file.path, "it is not named or does not lie as a blob does"); err != nil {
				return err
			}
			continue
		}
		err := c.VerifyBlob(file.id)
		if errors.Is(err, ErrNotFound) {
			continue // swept meanwhile
		}
		if errors.Is(err, ErrCorrupt) {
			if err := c.fault(remove, "blob "+file.id.String(), "its content is another"); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		c.health.Blobs++
		c.health.Bytes += file.size
	}
	return nil
}
