package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestDamagedSnapshot: what is wrong in a snapshot is left out and told of; the rest is restored.
func TestDamagedSnapshot(t *testing.T) {
	s, records, _ := stocked(t)
	forged := append(make([]byte, 8), records[0].Envelope...)
	forged[len(forged)-1] ^= 1
	err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(recordKey(records[0].CID), forged) })
	if err != nil {
		t.Fatal(err)
	}
	var snapshot bytes.Buffer
	if err := s.Snapshot(&snapshot); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	faults, err := RestoreIndex(t.Context(), home, &snapshot)
	if err != nil || len(faults) == 0 || !strings.Contains(faults[0].What, records[0].CID.String()) || !strings.Contains(faults[0].Why, "signature") || !faults[0].Repaired {
		t.Fatalf("faults %+v, %v", faults, err)
	}
	restored, err := Open(home, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if h, err := restored.Check(t.Context(), false); err != nil || h.Records != 2 || len(h.Faults) != 0 {
		t.Errorf("restored %+v, %v", h, err)
	}
	if restored.HasRecord(records[0].CID) || !restored.HasRecord(records[1].CID) {
		t.Error("the wrong record is left out")
	}
}

// TestSnapshotPartsAreBounded: eight bytes do not make a restore take as much memory as they say.
func TestSnapshotPartsAreBounded(t *testing.T) {
	_, err := RestoreIndex(t.Context(), t.TempDir(), bytes.NewReader(binary.LittleEndian.AppendUint64(nil, 1<<40)))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "part") {
		t.Errorf("a part of a terabyte: %v", err)
	}
}

// FuzzRestoreIndex: whatever a snapshot holds, either it is refused or the index is sound afterwards.
func FuzzRestoreIndex(f *testing.F) {
	s, err := Open(f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Put("some/state", []byte("value")); err != nil {
		f.Fatal(err)
	}
	var snapshot bytes.Buffer
	if err := errors.Join(s.Snapshot(&snapshot), s.Close()); err != nil {
		f.Fatal(err)
	}
	whole := snapshot.Bytes()
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(binary.LittleEndian.AppendUint64(nil, maxPart))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 8 && binary.LittleEndian.Uint64(b) > 1<<20 && binary.LittleEndian.Uint64(b) <= maxPart {
			t.Skip("memory that the limit allows is taken: too slow to try often")
		}
		home := t.TempDir()
		if _, err := RestoreIndex(t.Context(), home, bytes.NewReader(b)); err != nil {
			return
		}
		restored, err := Open(home, Options{})
		if err != nil {
			t.Fatalf("restored, and does not open: %v", err)
		}
		defer restored.Close()
		if h, err := restored.Check(t.Context(), false); err != nil || len(h.Faults) != 0 {
			t.Errorf("restored, and has faults: %+v, %v", h, err)
		}
	})
}
