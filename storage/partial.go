package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"
)

// Partial is a blob being downloaded; it survives a restart so that the download resumes at Offset. Not for concurrent use. After
// Commit, Discard or Close it is done, and closing it again is harmless.
type Partial struct {
	s      *Store
	c      cid.Cid
	f      *os.File
	sum    hash.Hash
	offset int64
	err    error // of a failed write, after which sum and file may differ
	done   bool
}

// PartialBlob opens (or creates) the partial file of c; one at a time per CID, else ErrBusy. It reads what is there once, to hash it.
func (s *Store) PartialBlob(c cid.Cid) (*Partial, error) {
	if err := checkBlobCID(c); err != nil {
		return nil, err
	}
	if s.opt.ReadOnly {
		return nil, fmt.Errorf("download blob %s: %w", c, ErrReadOnly)
	}
	s.partials.Lock()
	defer s.partials.Unlock()
	if s.partials.set[c] {
		return nil, fmt.Errorf("download blob %s: %w", c, ErrBusy)
	}
	f, err := os.OpenFile(filepath.Join(s.partialDir(), c.String()), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("download blob: %w", err)
	}
	p := &Partial{s: s, c: c, f: f, sum: sha256.New()}
	if p.offset, err = io.Copy(p.sum, f); err != nil {
		return nil, errors.Join(fmt.Errorf("resume blob: %w", err), f.Close())
	}
	s.partials.set[c] = true
	return p, nil
}

// Offset is how many bytes are there.
func (p *Partial) Offset() int64 { return p.offset }

// Write appends b. After an error the file holds a prefix of what was written; Close it and resume later.
func (p *Partial) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := (&guardedWriter{w: p.f, space: p.s.space}).Write(b)
	p.sum.Write(b[:n])
	p.offset += int64(n)
	if err != nil {
		p.err = fmt.Errorf("download blob %s: %w", p.c, err)
		return n, p.err
	}
	return n, nil
}

// ReadAt reads what is there; others may do so while one writes.
func (p *Partial) ReadAt(b []byte, at int64) (int, error) {
	n, err := p.f.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read partial blob %s: %w", p.c, err)
	}
	return n, err
}

// Commit verifies the whole content against the CID and renames it into place; ErrCorrupt discards it.
func (p *Partial) Commit() error {
	if p.done {
		return fmt.Errorf("commit blob %s: %w", p.c, os.ErrClosed)
	}
	defer p.finish()
	if p.err != nil {
		return errors.Join(p.err, p.f.Close())
	}
	got, err := blobCID(p.sum)
	if err != nil {
		return errors.Join(fmt.Errorf("blob %s: %w", p.c, err), p.f.Close())
	}
	if got != p.c {
		return errors.Join(fmt.Errorf("blob %s: %w: %d bytes came", p.c, ErrCorrupt, p.offset), os.Remove(p.f.Name()), p.f.Close())
	}
	if err := errors.Join(p.f.Sync(), p.f.Close()); err != nil {
		return fmt.Errorf("store blob %s: %w", p.c, err)
	}
	if err := p.s.place(p.f.Name(), p.c); err != nil {
		return fmt.Errorf("store blob %s: %w", p.c, err)
	}
	return nil
}

// Discard throws the bytes away.
func (p *Partial) Discard() error {
	if p.done {
		return nil
	}
	defer p.finish()
	return errors.Join(os.Remove(p.f.Name()), p.f.Close())
}

// Close keeps the bytes for a later resume.
func (p *Partial) Close() error {
	if p.done {
		return nil
	}
	defer p.finish()
	return p.f.Close()
}

// finish lets others open the partial of this CID. It comes last: until the file has been moved away, nobody else may write to it.
func (p *Partial) finish() {
	p.s.partials.Lock()
	defer p.s.partials.Unlock()
	p.done = true
	delete(p.s.partials.set, p.c)
}
