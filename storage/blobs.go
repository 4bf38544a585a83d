package storage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/mlecs/mlecs/storage/record"
)

// temporaryPattern names files that are being written; none survives the next Open.
const temporaryPattern = "tmp-*"

// PutBlob stores what r yields: temporary file, fsync, rename, fsync of the folder.
func (s *Store) PutBlob(r io.Reader) (record.Blob, error) {
	b, err := s.putBlob(r)
	if err != nil {
		return record.Blob{}, fmt.Errorf("store blob: %w", err)
	}
	return b, nil
}

// PutBlobBytes is PutBlob of b.
func (s *Store) PutBlobBytes(b []byte) (record.Blob, error) { return s.PutBlob(bytes.NewReader(b)) }

func (s *Store) putBlob(r io.Reader) (b record.Blob, err error) {
	if s.opt.ReadOnly {
		return record.Blob{}, ErrReadOnly
	}
	if sized, ok := r.(interface{ Len() int }); ok {
		if err := s.space.admitBlob(int64(sized.Len())); err != nil {
			return record.Blob{}, err
		}
	}
	f, err := os.CreateTemp(s.partialDir(), temporaryPattern) // mode 0600
	if err != nil {
		return record.Blob{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
			s.Recount()
		}
	}()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(&guardedWriter{w: f, space: s.space}, sum), onlyReader{r})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return record.Blob{}, err
	}
	c, err := blobCID(sum)
	if err != nil {
		return record.Blob{}, err
	}
	if err := s.place(f.Name(), c); err != nil {
		return record.Blob{}, err
	}
	return record.Blob{CID: c, Bytes: n}, nil
}

// onlyReader hides WriterTo, which would write a whole buffer past the space guard in one call.
type onlyReader struct{ io.Reader }

// guardedWriter asks the space guard before each write.
type guardedWriter struct {
	w       io.Writer
	space   *spaceGuard
	written int64
}

func (g *guardedWriter) Write(b []byte) (int, error) {
	if err := g.space.checkBlob(g.written, int64(len(b))); err != nil {
		return 0, err
	}
	n, err := g.w.Write(b)
	g.written += int64(n)
	return n, err
}

func blobCID(sum hash.Hash) (cid.Cid, error) {
	digest, err := multihash.Encode(sum.Sum(nil), multihash.SHA2_256)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(cid.Raw, digest), nil
}

// checkBlobCID refuses CIDs that no blob has.
func checkBlobCID(c cid.Cid) error {
	if !c.Defined() {
		return fmt.Errorf("blob without CID: %w", ErrNotFound)
	}
	if p := c.Prefix(); p.Version != 1 || p.Codec != cid.Raw || p.MhType != multihash.SHA2_256 || p.MhLength != sha256.Size {
		return fmt.Errorf("blob %s: %w: blobs have raw sha2-256 CIDs of version 1", c, ErrNotFound)
	}
	return nil
}

// place moves a complete, synced file to where c belongs. A file already there is replaced: it has the same content or is damaged.
func (s *Store) place(from string, c cid.Cid) error {
	to := s.BlobPath(c)
	dir := filepath.Dir(to)
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil:
		if err := syncDir(s.blobDir()); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes renames in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeTemporary clears what a crash left half written.
func (s *Store) removeTemporary() error {
	left, err := filepath.Glob(filepath.Join(s.partialDir(), temporaryPattern))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// OpenBlob opens a stored blob for reading and tells its size; ErrNotFound if absent. The bytes are not verified: see VerifyBlob.
func (s *Store) OpenBlob(c cid.Cid) (io.ReadSeekCloser, int64, error) {
	if err := checkBlobCID(c); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(s.BlobPath(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("blob %s: %w", c, ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("blob %s: %w", c, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("blob %s: %w", c, err), f.Close())
	}
	return f, info.Size(), nil
}

// ReadBlob reads at most limit bytes and verifies them against c: ErrTooLarge if the blob is longer, ErrCorrupt if it does not
// match. A corrupt blob stays until RemoveBlob; after that it can be fetched again.
func (s *Store) ReadBlob(c cid.Cid, limit int64) ([]byte, error) {
	f, size, err := s.OpenBlob(c)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("blob %s: %w: it has %d bytes, the limit is %d", c, ErrTooLarge, size, limit)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("blob %s: %w", c, err)
	}
	if record.BlobCID(b) != c {
		return nil, fmt.Errorf("blob %s: %w", c, ErrCorrupt)
	}
	return b, nil
}

// VerifyBlob reads a stored blob of any size and compares it with c: nil, ErrNotFound or ErrCorrupt.
func (s *Store) VerifyBlob(c cid.Cid) error {
	f, _, err := s.OpenBlob(c)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("blob %s: %w", c, err)
	}
	got, err := blobCID(sum)
	if err != nil {
		return fmt.Errorf("blob %s: %w", c, err)
	}
	if got != c {
		return fmt.Errorf("blob %s: %w", c, ErrCorrupt)
	}
	return nil
}

// RemoveBlob deletes a blob; it is no error if there is none.
func (s *Store) RemoveBlob(c cid.Cid) error {
	if s.opt.ReadOnly {
		return fmt.Errorf("remove blob %s: %w", c, ErrReadOnly)
	}
	if err := os.Remove(s.BlobPath(c)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob: %w", err)
	}
	return nil
}

// HasBlob tells whether a blob is stored. It does not read it.
func (s *Store) HasBlob(c cid.Cid) bool {
	if checkBlobCID(c) != nil {
		return false
	}
	_, err := os.Stat(s.BlobPath(c))
	return err == nil
}

// BlobPath is the file of a blob, whether it is there or not.
func (s *Store) BlobPath(c cid.Cid) string {
	name := c.String()
	return filepath.Join(s.blobDir(), name[max(0, len(name)-2):], name)
}
