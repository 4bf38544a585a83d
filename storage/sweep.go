package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/storage/record"
)

// Swept tells what a sweep took away.
type Swept struct {
	Removed int   // blobs
	Bytes   int64 // of them
	Kept    int   // blobs
}

// Sweep removes every blob that keep does not want. Blobs that come in meanwhile may be swept too: the caller sees to it that none is being
// stored that keep does not know.
func (s *Store) Sweep(keep func(cid.Cid) bool) (Swept, error) {
	var swept Swept
	if s.opt.ReadOnly {
		return swept, fmt.Errorf("sweep blobs: %w", ErrReadOnly)
	}
	defer s.Recount()
	for file, err := range s.blobFiles() {
		if err != nil {
			return swept, fmt.Errorf("sweep blobs: %w", err)
		}
		if !file.id.Defined() || keep(file.id) {
			swept.Kept++
			continue
		}
		if err := os.Remove(file.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return swept, fmt.Errorf("sweep blobs: %w", err)
		}
		swept.Removed++
		swept.Bytes += file.size
	}
	return swept, nil
}

// Blobs yields the id and size of every blob stored, in no order that means anything.
func (s *Store) Blobs() iter.Seq2[record.Blob, error] {
	return func(yield func(record.Blob, error) bool) {
		for file, err := range s.blobFiles() {
			if err == nil && !file.id.Defined() {
				continue
			}
			if !yield(record.Blob{CID: file.id, Bytes: file.size}, err) {
				return
			}
		}
	}
}

// blobFile is a file in the folder of blobs; id is undefined if it is not named, or does not lie, as a blob does.
type blobFile struct {
	id   cid.Cid
	path string
	size int64
}

// blobFiles walks blobs/ without partial/. Files that vanish meanwhile are left out.
func (s *Store) blobFiles() iter.Seq2[blobFile, error] {
	return func(yield func(blobFile, error) bool) {
		stop := errors.New("stop")
		err := filepath.WalkDir(s.blobDir(), func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case d.IsDir() && path == s.partialDir():
				return fs.SkipDir
			case d.IsDir():
				return nil
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			file := blobFile{path: path, size: info.Size()}
			if id, err := cid.Decode(d.Name()); err == nil && checkBlobCID(id) == nil && s.BlobPath(id) == path {
				file.id = id
			}
			if !yield(file, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(blobFile{}, err)
		}
	}
}
