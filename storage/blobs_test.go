package storage_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

func TestBlobIsNamedByItsContent(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	blob, err := s.PutBlob(iotest.HalfReader(bytes.NewReader(content)))
	if err != nil {
		t.Fatal(err)
	}
	if want := (record.Blob{CID: record.BlobCID(content), Bytes: int64(len(content))}); blob != want {
		t.Errorf("got %+v, want %+v", blob, want)
	}
	name := blob.CID.String()
	if got, want := s.BlobPath(blob.CID), filepath.Join("blobs", name[len(name)-2:], name); !strings.HasSuffix(got, want) {
		t.Errorf("it lies at %s, want ...%s", got, want)
	}
	if again, err := s.PutBlobBytes(content); err != nil || again != blob {
		t.Errorf("the same content again: %+v, %v", again, err)
	}
	if got, err := s.ReadBlob(blob.CID, blob.Bytes); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes read, %v", len(got), err)
	}
	if _, err := s.ReadBlob(blob.CID, blob.Bytes-1); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	f, size, err := s.OpenBlob(blob.CID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(16, io.SeekStart); err != nil || size != blob.Bytes {
		t.Errorf("size %d, %v", size, err)
	}
	if rest, err := io.ReadAll(f); err != nil || !bytes.Equal(rest, content[16:]) {
		t.Errorf("%d bytes from offset 16, %v", len(rest), err)
	}
	if err := s.VerifyBlob(blob.CID); err != nil {
		t.Error(err)
	}
}

func TestFailedReaderLeavesNothing(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	broken := errors.New("cable cut")
	if _, err := s.PutBlob(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if left, err := os.ReadDir(filepath.Join(home, "blobs", "partial")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestAbsentAndForeignCIDs(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	for name, c := range map[string]cid.Cid{
		"absent":    record.BlobCID([]byte("absent")),
		"undefined": cid.Undef,
		"a record":  record.PayloadCID([]byte("x")),
	} {
		t.Run(name, func(t *testing.T) {
			if s.HasBlob(c) {
				t.Error("HasBlob is true")
			}
			if _, _, err := s.OpenBlob(c); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("OpenBlob: %v", err)
			}
			if _, err := s.ReadBlob(c, 10); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("ReadBlob: %v", err)
			}
			if err := s.RemoveBlob(c); err != nil {
				t.Errorf("RemoveBlob: %v", err)
			}
		})
	}
}

func TestDamagedBlobIsFoundOutAndCanBeReplaced(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	blob, err := s.PutBlobBytes([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.BlobPath(blob.CID), []byte("c0ntent"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadBlob(blob.CID, 100); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("ReadBlob: got %v, want %v", err, storage.ErrCorrupt)
	}
	if err := s.VerifyBlob(blob.CID); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("VerifyBlob: got %v, want %v", err, storage.ErrCorrupt)
	}
	if _, err := s.PutBlobBytes([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyBlob(blob.CID); err != nil {
		t.Errorf("after storing it again: %v", err)
	}
	if err := s.RemoveBlob(blob.CID); err != nil || s.HasBlob(blob.CID) {
		t.Errorf("removed: %v, still there: %v", err, s.HasBlob(blob.CID))
	}
}

func partial(t testing.TB, s *storage.Store, c cid.Cid) *storage.Partial {
	t.Helper()
	p, err := s.PartialBlob(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestPartialResumesAfterARestart(t *testing.T) {
	home := t.TempDir()
	content := []byte("first half, second half")
	c := record.BlobCID(content)

	s := open(t, home, storage.Options{})
	p := partial(t, s, c)
	if _, err := p.Write(content[:10]); err != nil {
		t.Fatal(err)
	}
	if s.HasBlob(c) {
		t.Error("half a blob counts as stored")
	}
	if err := errors.Join(p.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}

	s = open(t, home, storage.Options{})
	p = partial(t, s, c)
	if p.Offset() != 10 {
		t.Fatalf("resumes at %d", p.Offset())
	}
	if _, err := p.Write(content[10:]); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ReadBlob(c, 100); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := p.Commit(); err == nil {
		t.Error("committed twice")
	}
}

func TestPartialOfTheWrongContentIsDiscarded(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	c := record.BlobCID([]byte("right"))
	p := partial(t, s, c)
	if _, err := p.Write([]byte("wrong")); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("got %v, want %v", err, storage.ErrCorrupt)
	}
	if s.HasBlob(c) {
		t.Error("it was stored")
	}
	p = partial(t, s, c)
	if p.Offset() != 0 {
		t.Errorf("the wrong bytes are still there: offset %d", p.Offset())
	}
	if _, err := p.Write([]byte("ri")); err != nil {
		t.Fatal(err)
	}
	if err := p.Discard(); err != nil {
		t.Fatal(err)
	}
	if p = partial(t, s, c); p.Offset() != 0 {
		t.Errorf("discarded, but offset %d", p.Offset())
	}
}

func TestOnePartialAtATime(t *testing.T) {
	s := open(t, t.TempDir(), storage.Options{})
	c := record.BlobCID([]byte("content"))
	p := partial(t, s, c)
	if _, err := s.PartialBlob(c); !errors.Is(err, storage.ErrBusy) {
		t.Errorf("got %v, want %v", err, storage.ErrBusy)
	}
	partial(t, s, record.BlobCID([]byte("another")))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	partial(t, s, c)
}

func TestOpenClearsTemporaryFilesOnly(t *testing.T) {
	home := t.TempDir()
	s := open(t, home, storage.Options{})
	c := record.BlobCID([]byte("content"))
	p := partial(t, s, c)
	if _, err := p.Write([]byte("con")); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(home, "blobs", "partial", "tmp-left-by-a-crash")
	if err := errors.Join(os.WriteFile(left, []byte("x"), 0o600), p.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, home, storage.Options{})
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary file: %v", err)
	}
	if p := partial(t, s, c); p.Offset() != 3 {
		t.Errorf("partial resumes at %d", p.Offset())
	}
}
