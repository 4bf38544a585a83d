package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// keyOf makes the Ed25519 key of a number.
func keyOf(t testing.TB, n uint64) crypto.PrivKey {
	t.Helper()
	seed := binary.BigEndian.AppendUint64(make([]byte, 24), n)
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func idOf(t testing.TB, n uint64) peer.ID {
	t.Helper()
	id, err := peer.IDFromPrivateKey(keyOf(t, n))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// note is a small record of an unknown kind, which storage treats like any other.
func note(t testing.TB, author, seq uint64, text string) *record.Signed {
	t.Helper()
	return noteOf(t, "note", author, seq, text)
}

func noteOf(t testing.TB, kind record.Kind, author, seq uint64, text string) *record.Signed {
	t.Helper()
	body, err := record.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Sign(keyOf(t, author), record.Record{Kind: kind, Federation: record.PayloadCID(nil), Seq: seq, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t testing.TB, home string, opt storage.Options) *storage.Store {
	t.Helper()
	s, err := storage.Open(home, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t testing.TB, s *storage.Store, r *record.Signed) {
	t.Helper()
	if added, err := s.PutRecord(r); err != nil || !added {
		t.Fatalf("put %s: added %v, %v", r.CID, added, err)
	}
}

func TestSecondOpenIsLockedOut(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	for _, opt := range []storage.Options{{}, {ReadOnly: true}} {
		_, err := storage.Open(home, opt)
		if !errors.Is(err, storage.ErrLocked) {
			t.Fatalf("%+v: got %v, want %v", opt, err, storage.ErrLocked)
		}
		for _, want := range []string{home, fmt.Sprintf("process %d", os.Getpid())} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not tell %q", err, want)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, home, storage.Options{})
}

func TestReadOnlySharesAHomeAndWritesNothing(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	r := note(t, 1, 1, "hello")
	put(t, s, r)
	blob, err := s.PutBlobBytes([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	a, b := open(t, home, storage.Options{ReadOnly: true}), open(t, home, storage.Options{ReadOnly: true})
	for _, s := range []*storage.Store{a, b} {
		if got, err := s.Record(r.CID); err != nil || got.CID != r.CID {
			t.Errorf("record: %v, %v", got, err)
		}
		if got, err := s.ReadBlob(blob.CID, 100); err != nil || string(got) != "content" {
			t.Errorf("blob: %q, %v", got, err)
		}
	}
	_, errRecord := a.PutRecord(note(t, 1, 2, "more"))
	_, errBlob := a.PutBlobBytes([]byte("more"))
	_, errPartial := a.PartialBlob(record.BlobCID([]byte("more")))
	for what, err := range map[string]error{
		"PutRecord": errRecord, "PutBlob": errBlob, "PartialBlob": errPartial,
		"Put": a.Put("k", nil), "Delete": a.Delete("k"), "RemoveBlob": a.RemoveBlob(blob.CID),
	} {
		if !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("%s: got %v, want %v", what, err, storage.ErrReadOnly)
		}
	}
	if _, err := storage.Open(home, storage.Options{}); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("a writer beside readers: %v", err)
	}
}

func TestReadOnlyOfAFolderThatIsNoHome(t *testing.T) {
	dir := t.TempDir()
	if _, err := storage.Open(dir, storage.Options{ReadOnly: true}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v, want %v", err, storage.ErrNotFound)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func TestFoldersAndFilesArePrivate(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	s := open(t, home, storage.Options{})
	blob, err := s.PutBlobBytes([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	partial, err := s.PartialBlob(record.BlobCID([]byte("other")))
	if err != nil {
		t.Fatal(err)
	}
	defer partial.Close()

	mode := func(path string) fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	for _, dir := range []string{"", "index", "blobs", "blobs/partial", filepath.Join("blobs", filepath.Base(filepath.Dir(s.BlobPath(blob.CID))))} {
		if m := mode(filepath.Join(home, dir)); m != 0o700 {
			t.Errorf("folder %q has mode %o", dir, m)
		}
	}
	for _, file := range []string{filepath.Join(home, "lock"), filepath.Join(home, "blobs", "partial", record.BlobCID([]byte("other")).String()), s.BlobPath(blob.CID)} {
		if m := mode(file); m != 0o600 {
			t.Errorf("file %s has mode %o", file, m)
		}
	}
}

func TestFullDiskRefusesWritesButNotReads(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	r := note(t, 1, 1, "hello")
	put(t, s, r)
	blob, err := s.PutBlobBytes([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(home, "ballast")
	if _, err := os.Stat(ballast); err != nil {
		t.Fatalf("nothing held back: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	full := open(t, home, storage.Options{MinFree: 1 << 60}) // more than any disk has
	if _, err := os.Stat(ballast); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the ballast was kept: %v", err)
	}
	_, errRecord := full.PutRecord(note(t, 1, 2, "more"))
	_, errBlob := full.PutBlobBytes([]byte("more"))
	for what, err := range map[string]error{"PutRecord": errRecord, "PutBlob": errBlob, "Put": full.Put("k", []byte("v"))} {
		if !errors.Is(err, storage.ErrNoSpace) {
			t.Errorf("%s: got %v, want %v", what, err, storage.ErrNoSpace)
		}
	}
	partial, err := full.PartialBlob(record.BlobCID([]byte("more")))
	if err != nil {
		t.Fatal(err)
	}
	defer partial.Close()
	if _, err := partial.Write([]byte("more")); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("Partial.Write: got %v, want %v", err, storage.ErrNoSpace)
	}
	if !full.HasRecord(r.CID) {
		t.Error("the record cannot be read")
	}
	if _, err := full.ReadBlob(blob.CID, 100); err != nil {
		t.Errorf("the blob cannot be read: %v", err)
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutRecord(note(t, 1, 1, "late")); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("PutRecord: %v", err)
	}
	for _, err := range s.Records("") {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("Records: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
