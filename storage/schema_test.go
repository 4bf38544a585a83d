package storage

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/mlecs/mlecs/storage/record"
)

func TestHomeOfANewerProgramIsLeftAlone(t *testing.T) {
	home := t.TempDir()
	s, err := Open(home, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Update(func(txn *badger.Txn) error { return txn.Set(schemaKey, []byte("3")) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []Options{{}, {ReadOnly: true}} {
		for range 2 { // a refusal must leave the home unlocked
			if _, err := Open(home, opt); !errors.Is(err, ErrSchema) {
				t.Errorf("%+v: got %v, want %v", opt, err, ErrSchema)
			}
		}
	}
}

// oldHome is a home as programs with schema 1 left it, with some records.
func oldHome(t *testing.T, records int) (home string) {
	t.Helper()
	home = t.TempDir()
	s, err := Open(home, Options{})
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := record.Encode("x")
	if err != nil {
		t.Fatal(err)
	}
	var all []*record.Signed
	for seq := range uint64(records) {
		r, err := record.Sign(key, record.Record{Kind: "note", Federation: record.PayloadCID(nil), Seq: seq + 1, Created: int64(seq), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if _, err := s.PutRecords(all); err != nil {
		t.Fatal(err)
	}
	c := checkup{Store: s}
	later := map[string][]byte{string(countKey): nil, string(schemaKey): []byte("1")}
	for _, table := range []byte{tableTimeline, tableRound} {
		keys, err := c.keys(table)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			later[string(key)] = nil
		}
	}
	if err := errors.Join(c.change(later), s.Close()); err != nil {
		t.Fatal(err)
	}
	return home
}

// mustBeWhole checks a home that was migrated.
func mustBeWhole(t *testing.T, s *Store, records int) {
	t.Helper()
	sum, err := s.Sum(nil, nil)
	if err != nil || s.Count() != records || sum.Count != uint64(records) {
		t.Errorf("%d records, %d in the timeline, %v; want %d", s.Count(), sum.Count, err, records)
	}
	h, err := s.Check(t.Context(), false)
	if err != nil || len(h.Faults) > 0 || h.Records != records {
		t.Errorf("check: %+v, %v", h, err)
	}
	value, err := readMeta(s.db, schemaKey)
	if err != nil || string(value) != strconv.Itoa(schema) {
		t.Errorf("schema %q, %v", value, err)
	}
}

func TestHomeOfAnOlderProgramIsMigrated(t *testing.T) {
	for name, opt := range map[string]Options{"by its node": {}, "by an inspecting command": {ReadOnly: true}} {
		t.Run(name, func(t *testing.T) {
			home := oldHome(t, 20)
			for range 2 {
				s, err := Open(home, opt)
				if err != nil {
					t.Fatal(err)
				}
				mustBeWhole(t, s, 20)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestSnapshotOfAnOlderProgramIsMigrated: a backup that a program with schema 1 made gives a home of this schema.
func TestSnapshotOfAnOlderProgramIsMigrated(t *testing.T) {
	const records = 20
	open := func(dir string) *badger.DB {
		db, err := badger.Open(indexOptions(dir, false, slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	// The schema is the first that such a program wrote, which the index counts.
	from, old := open(filepath.Join(oldHome(t, records), "index")), open(t.TempDir())
	if err := writeSchema(old, 1); err != nil {
		t.Fatal(err)
	}
	err := from.View(func(read *badger.Txn) error {
		return old.Update(func(write *badger.Txn) error {
			return eachKey(read, nil, func(item *badger.Item) error {
				value, err := item.ValueCopy(nil)
				if err != nil || bytes.Equal(item.Key(), schemaKey) {
					return err
				}
				return write.Set(item.KeyCopy(nil), value)
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	var snapshot bytes.Buffer
	if _, err := old.Backup(&snapshot, 0); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if _, err := RestoreIndex(t.Context(), home, bytes.NewReader(snapshot.Bytes())); err != nil {
		t.Fatal(err)
	}
	s, err := Open(home, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustBeWhole(t, s, records)
}

func TestInterruptedMigrationIsTakenUpAgain(t *testing.T) {
	const records = 20
	home := oldHome(t, records)
	whole, batch := migrations[0], migrationBatch
	t.Cleanup(func() { migrations[0], migrationBatch = whole, batch })
	migrationBatch = 4
	for commits := 1; commits <= 3; commits++ {
		migrations[0] = func(m *migration) error {
			m.limit = commits
			return whole(m)
		}
		if s, err := Open(home, Options{}); !errors.Is(err, errInterrupted) {
			t.Fatalf("after %d commits: %v, %v", commits, s, err)
		}
	}
	migrations[0] = whole
	s, err := Open(home, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustBeWhole(t, s, records)
}

func TestFullDiskIsNotOpened(t *testing.T) {
	full := spaceGuard{home: t.TempDir(), floor: DefaultMinFree, free: func(string) (int64, error) { return indexHeadroom - 1, nil }}
	if err := full.prepare(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v, want %v", err, ErrNoSpace)
	}
}

func TestQuotaOfAHome(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustBeFull := func(want bool) {
		t.Helper()
		if err := s.Room(); errors.Is(err, ErrNoSpace) != want {
			t.Errorf("room: %v; want full: %v", err, want)
		}
	}
	before, err := s.Space()
	if err != nil {
		t.Fatal(err)
	}
	s.SetQuota(before.Used + 1<<20)
	b, err := s.PutBlobBytes(make([]byte, 700<<10))
	if err != nil {
		t.Fatal(err)
	}
	mustBeFull(false)
	if _, err := s.PutBlobBytes(bytes.Repeat([]byte{1}, 700<<10)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("beyond the quota: %v", err)
	}
	mustBeFull(true)
	if _, err := s.Sweep(func(c cid.Cid) bool { return c != b.CID }); err != nil {
		t.Fatal(err)
	}
	mustBeFull(false)
	if _, err := s.PutBlobBytes(bytes.Repeat([]byte{1}, 700<<10)); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

// What was written of a blob before it was refused is removed again, and makes no room for the blob.
func TestRefusedBlobMakesNoRoomForItself(t *testing.T) {
	large := make([]byte, 700<<10)
	for name, put := range map[string]func(*Store) error{
		"of bytes": func(s *Store) error {
			_, err := s.PutBlobBytes(large)
			return err
		},
		"of a reader that does not tell its length": func(s *Store) error {
			_, err := s.PutBlob(onlyReader{bytes.NewReader(large)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.TempDir(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			before, err := s.Space()
			if err != nil {
				t.Fatal(err)
			}
			s.SetQuota(before.Used + 400<<10)
			if err := put(s); !errors.Is(err, ErrNoSpace) {
				t.Fatalf("beyond the quota: %v", err)
			}
			s.Recount()
			if err := s.Room(); !errors.Is(err, ErrNoSpace) {
				t.Errorf("room for what was refused: %v", err)
			}
			s.SetQuota(before.Used + 800<<10)
			if err := s.Room(); err != nil {
				t.Errorf("after the quota was raised: %v", err)
			}
			if err := put(s); err != nil {
				t.Errorf("after the quota was raised: %v", err)
			}
		})
	}
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	free := int64(DefaultMinFree + 100)
	s.space.free = func(string) (int64, error) { return free, nil }
	for _, c := range []struct {
		free   int64
		bytes  int
		stored bool
		full   bool // after it
	}{
		{DefaultMinFree + 100, 50, true, false},
		{DefaultMinFree + 100, 150, false, true},
		{DefaultMinFree + 100, 50, true, true}, // small writes go on, the large one still would not
		{DefaultMinFree - 1, 1, false, true},
		{DefaultMinFree + 200, 150, true, false},
	} {
		free = c.free
		_, err := s.PutBlobBytes(make([]byte, c.bytes))
		if (err == nil) != c.stored || err != nil && !errors.Is(err, ErrNoSpace) {
			t.Errorf("%+v: %v", c, err)
		}
		if err := s.Room(); errors.Is(err, ErrNoSpace) != c.full {
			t.Errorf("%+v: room: %v", c, err)
		}
	}
}
