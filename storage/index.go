package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// schema is the format of the index and of the blob folder.
const schema = "1"

// Keys of the index begin with a byte that tells their table:
//
//	'm' "schema"                        -> schema
//	'r' CID                             -> arrival number, envelope
//	'a' arrival number                  -> CID
//	'k' kind 0 arrival number           -> CID
//	's' author length, author, seq, CID -> nothing
//	'v' state key                       -> state value
//
// Numbers are 8 bytes, big endian, so that they sort.
const (
	tableMeta    = 'm'
	tableRecord  = 'r'
	tableArrival = 'a'
	tableKind    = 'k'
	tableAuthor  = 's'
	tableState   = 'v'
)

var schemaKey = []byte("mschema")

func recordKey(c cid.Cid) []byte { return append([]byte{tableRecord}, c.Bytes()...) }

func kindPrefix(k record.Kind) []byte { return append(append([]byte{tableKind}, k...), 0) }

func authorPrefix(author peer.ID) []byte {
	return append([]byte{tableAuthor, byte(len(author))}, author...) // an Ed25519 id has 38 bytes
}

func authorKey(author peer.ID, seq uint64, c cid.Cid) []byte {
	return append(binary.BigEndian.AppendUint64(authorPrefix(author), seq), c.Bytes()...)
}

// parseAuthorKey is the inverse of authorKey. c stays undefined if the key ends before it.
func parseAuthorKey(key []byte) (author peer.ID, seq uint64, c cid.Cid, err error) {
	const fixed = 2
	if len(key) < fixed || len(key) < fixed+int(key[1])+8 {
		return "", 0, cid.Undef, fmt.Errorf("index: bad author key %x", key)
	}
	rest := key[fixed+int(key[1]):]
	c, err = cid.Cast(rest[8:])
	if err != nil {
		return "", 0, cid.Undef, fmt.Errorf("index: bad author key %x: %w", key, err)
	}
	return peer.ID(key[fixed : fixed+int(key[1])]), binary.BigEndian.Uint64(rest), c, nil
}

// indexOptions are small-node settings: about 6 MB of heap an instance, where the defaults take 86 MB.
func indexOptions(dir string, readOnly bool, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithReadOnly(readOnly).
		WithMemTableSize(4 << 20).
		WithNumMemtables(2).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(2 << 20).
		WithIndexCacheSize(1 << 20).
		WithNumCompactors(2).
		WithValueThreshold(4 << 10).
		WithCompression(options.None).
		WithMetricsEnabled(false).
		WithLogger(indexLog{log})
}

// openIndex opens Badger, checks the schema and finds the newest arrival number.
func (s *Store) openIndex(readOnly bool) error {
	db, err := badger.Open(indexOptions(s.indexDir(), readOnly, s.opt.Log))
	if err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	if err := checkSchema(db, readOnly); err != nil {
		return errors.Join(err, db.Close())
	}
	last, err := lastArrival(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.arrival.Store(last)
	s.db = db
	return nil
}

func checkSchema(db *badger.DB, readOnly bool) error {
	found := ""
	err := db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(schemaKey)
		if err != nil {
			return err
		}
		value, err := item.ValueCopy(nil)
		found = string(value)
		return err
	})
	switch {
	case errors.Is(err, badger.ErrKeyNotFound) && !readOnly:
		return db.Update(func(txn *badger.Txn) error { return txn.Set(schemaKey, []byte(schema)) })
	case errors.Is(err, badger.ErrKeyNotFound):
		return nil // a home whose node never got as far as writing
	case err != nil:
		return fmt.Errorf("read schema of index: %w", err)
	case found != schema:
		return fmt.Errorf("%w: its schema is %.20q, this program's %q; use the program that wrote it, or a newer one", ErrSchema, found, schema)
	}
	return nil
}

func lastArrival(db *badger.DB) (last uint64, err error) {
	err = db.View(func(txn *badger.Txn) error {
		key := lastKey(txn, []byte{tableArrival})
		if len(key) == 1+8 {
			last = binary.BigEndian.Uint64(key[1:])
		}
		return nil
	})
	return last, err
}

// lastKey is the highest key with a prefix, nil if there is none. Keys with 0xff right after the prefix, and at least 16 more, are
// not found; no table has them.
func lastKey(txn *badger.Txn, prefix []byte) []byte {
	it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: prefix})
	defer it.Close()
	it.Seek(append(append([]byte(nil), prefix...), strings.Repeat("\xff", 16)...))
	if !it.Valid() {
		return nil
	}
	return it.Item().KeyCopy(nil)
}

// indexLog sends Badger's warnings and errors to a slog.Logger; its other messages tell nothing to a user.
type indexLog struct{ log *slog.Logger }

func (l indexLog) Errorf(format string, args ...any) { l.log.Error("index: " + line(format, args)) }
func (l indexLog) Warningf(format string, args ...any) {
	l.log.Warn("index: " + line(format, args))
}
func (l indexLog) Infof(string, ...any)  {}
func (l indexLog) Debugf(string, ...any) {}

func line(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
