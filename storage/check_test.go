package storage

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/mlecs/mlecs/storage/record"
)

// stocked is an open store with three records and three blobs.
func stocked(t *testing.T) (s *Store, records []*record.Signed, blobs []cid.Cid) {
	t.Helper()
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		body, err := record.Encode("text")
		if err != nil {
			t.Fatal(err)
		}
		r, err := record.Sign(key, record.Record{Kind: "note", Federation: record.PayloadCID([]byte("f")), Seq: uint64(i + 1), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutRecord(r); err != nil {
			t.Fatal(err)
		}
		b, err := s.PutBlobBytes(bytes.Repeat([]byte{byte(i)}, 100+i))
		if err != nil {
			t.Fatal(err)
		}
		records, blobs = append(records, r), append(blobs, b.CID)
	}
	return s, records, blobs
}

func TestCheckFindsAndRepairs(t *testing.T) {
	set := func(s *Store, key, value []byte) error {
		return s.db.Update(func(txn *badger.Txn) error {
			if value == nil {
				return txn.Delete(key)
			}
			return txn.Set(key, value)
		})
	}
	for _, tc := range []struct {
		name   string
		damage func(s *Store, records []*record.Signed, blobs []cid.Cid) error
		why    string
		left   Health // after repair, without faults
	}{
		{"nothing", func(*Store, []*record.Signed, []cid.Cid) error { return nil }, "", Health{Records: 3, Blobs: 3, Bytes: 303}},
		{"a blob with other content", func(s *Store, _ []*record.Signed, blobs []cid.Cid) error {
			return os.WriteFile(s.BlobPath(blobs[1]), []byte("other"), 0o600)
		}, "content is another", Health{Records: 3, Blobs: 2, Bytes: 202}},
		{"a file that is no blob", func(s *Store, _ []*record.Signed, _ []cid.Cid) error {
			return os.WriteFile(filepath.Join(s.blobDir(), "notes.txt"), []byte("x"), 0o600)
		}, "not named", Health{Records: 3, Blobs: 3, Bytes: 303}},
		{"a record with a wrong signature", func(s *Store, records []*record.Signed, _ []cid.Cid) error {
			value := append(make([]byte, 8), records[0].Envelope...)
			value[len(value)-1] ^= 1
			return set(s, recordKey(records[0].CID), value)
		}, "signature", Health{Records: 2, Blobs: 3, Bytes: 303}},
		{"a record under another's id", func(s *Store, records []*record.Signed, _ []cid.Cid) error {
			return set(s, recordKey(records[0].CID), append(make([]byte, 8), records[1].Envelope...))
		}, "content does not match", Health{Records: 2, Blobs: 3, Bytes: 303}},
		{"a record that its author's table lacks", func(s *Store, records []*record.Signed, _ []cid.Cid) error {
			return set(s, authorKey(records[2].Author, 3, records[2].CID), nil)
		}, "missing in the table", Health{Records: 3, Blobs: 3, Bytes: 303}},
		{"an entry of no record", func(s *Store, records []*record.Signed, _ []cid.Cid) error {
			return set(s, recordKey(records[1].CID), nil)
		}, "leads to no record", Health{Records: 2, Blobs: 3, Bytes: 303}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, records, blobs := stocked(t)
			if err := tc.damage(s, records, blobs); err != nil {
				t.Fatal(err)
			}
			for _, repair := range []bool{false, true, false} {
				h, err := s.Check(t.Context(), repair)
				if err != nil {
					t.Fatal(err)
				}
				mended := h.Records == tc.left.Records && h.Blobs == tc.left.Blobs && h.Bytes == tc.left.Bytes && len(h.Faults) == 0
				if mended && (tc.why == "" || !repair) {
					continue // sound from the beginning, or after the repair
				}
				if len(h.Faults) == 0 || !strings.Contains(h.Faults[0].Why, tc.why) || h.Faults[0].Repaired != repair {
					t.Errorf("repair %v: %+v, want %q", repair, h, tc.why)
				}
			}
			if h, err := s.Check(t.Context(), false); err != nil || len(h.Faults) != 0 || h.Records != tc.left.Records || h.Blobs != tc.left.Blobs || h.Bytes != tc.left.Bytes {
				t.Errorf("after the repair %+v (%v), want %+v", h, err, tc.left)
			}
		})
	}
}

func TestSweepKeepsWhatIsWanted(t *testing.T) {
	s, _, blobs := stocked(t)
	swept, err := s.Sweep(func(id cid.Cid) bool { return id == blobs[1] })
	if err != nil || swept != (Swept{Removed: 2, Bytes: 202, Kept: 1}) {
		t.Errorf("swept %+v, %v", swept, err)
	}
	if s.HasBlob(blobs[0]) || !s.HasBlob(blobs[1]) || s.HasBlob(blobs[2]) {
		t.Error("the wrong blobs are left")
	}
}

func TestSnapshotIsRestored(t *testing.T) {
	s, records, _ := stocked(t)
	if err := s.Put("some/state", []byte("value")); err != nil {
		t.Fatal(err)
	}
	var snapshot bytes.Buffer
	if err := s.Snapshot(&snapshot); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if _, err := RestoreIndex(t.Context(), home, bytes.NewReader(snapshot.Bytes())); err != nil {
		t.Fatal(err)
	}
	restored, err := Open(home, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	h, err := restored.Check(t.Context(), false)
	if err != nil || h.Records != len(records) || len(h.Faults) != 0 {
		t.Errorf("restored %+v, %v", h, err)
	}
	if value, err := restored.Get("some/state"); err != nil || string(value) != "value" {
		t.Errorf("restored state %q, %v", value, err)
	}
	if next, err := restored.NextSeq(records[0].Author); err != nil || next != 4 {
		t.Errorf("next sequence number %d, %v", next, err)
	}
	if _, err := RestoreIndex(t.Context(), home, bytes.NewReader(snapshot.Bytes())); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an index: %v", err)
	}
	if _, err := RestoreIndex(t.Context(), t.TempDir(), bytes.NewReader(snapshot.Bytes()[:snapshot.Len()/2])); err == nil {
		t.Error("half a snapshot is restored")
	}
}
