// Package storage is a node's disk: a Badger index of records and small state, and CID-named blob files.
package storage

import (
	"errors"
	"io"
	"iter"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

var (
	ErrLocked   = errors.New("home folder is in use by another node")
	ErrNotFound = errors.New("not found")
	ErrCorrupt  = errors.New("content does not match its CID")
	ErrNoSpace  = errors.New("not enough free disk space")
)

// Options of Open.
type Options struct {
	ReadOnly bool // inspect a home whose node is not running; writes fail
}

// Store is an open home folder. Safe for concurrent use.
type Store struct{}

// Open locks home and opens (creating) index/ and blobs/ in it.
func Open(home string, opt Options) (*Store, error) { panic("stub") }
func (s *Store) Close() error                       { panic("stub") }

// PutRecord stores a verified record durably (synced before it returns); added is false if it was there.
func (s *Store) PutRecord(r *record.Signed) (added bool, err error) { panic("stub") }
func (s *Store) Record(c cid.Cid) (*record.Signed, error)           { panic("stub") }
func (s *Store) HasRecord(c cid.Cid) bool                           { panic("stub") }

// Records yields records of a kind ("" = all) in order of arrival.
func (s *Store) Records(kind record.Kind) iter.Seq2[*record.Signed, error] { panic("stub") }

// NextSeq is one more than the highest sequence number stored of author.
func (s *Store) NextSeq(author peer.ID) (uint64, error) { panic("stub") }

// Range is an inclusive run of sequence numbers.
type Range struct{ From, To uint64 }

// Have tells for every author which sequence numbers are stored, as sorted disjoint ranges.
func (s *Store) Have() (map[peer.ID][]Range, error) { panic("stub") }

// ByAuthor yields author's records with From <= Seq <= To in order.
func (s *Store) ByAuthor(author peer.ID, r Range) iter.Seq2[*record.Signed, error] { panic("stub") }

// Put, Get and Delete hold small node state (JSON values) under a key, e.g. "rounds/000001/scores"; Keys lists by prefix in order.
func (s *Store) Put(key string, value []byte) error   { panic("stub") }
func (s *Store) Get(key string) ([]byte, error)       { panic("stub") }
func (s *Store) Delete(key string) error              { panic("stub") }
func (s *Store) Keys(prefix string) ([]string, error) { panic("stub") }

// PutBlob stores what r yields: temporary file, fsync, rename, fsync of the folder.
func (s *Store) PutBlob(r io.Reader) (record.Blob, error)   { panic("stub") }
func (s *Store) PutBlobBytes(b []byte) (record.Blob, error) { panic("stub") }

// OpenBlob opens a stored blob for reading; ErrNotFound if absent.
func (s *Store) OpenBlob(c cid.Cid) (io.ReadSeekCloser, int64, error) { panic("stub") }

// ReadBlob reads at most limit bytes and verifies them against c.
func (s *Store) ReadBlob(c cid.Cid, limit int64) ([]byte, error) { panic("stub") }
func (s *Store) HasBlob(c cid.Cid) bool                          { panic("stub") }
func (s *Store) BlobPath(c cid.Cid) string                       { panic("stub") }

// Partial is a blob being downloaded; it survives a restart so that the download resumes at Offset.
type Partial struct{}

// PartialBlob opens (or creates) the partial file of c; one at a time per CID.
func (s *Store) PartialBlob(c cid.Cid) (*Partial, error) { panic("stub") }
func (p *Partial) Offset() int64                         { panic("stub") }
func (p *Partial) Write(b []byte) (int, error)           { panic("stub") }

// Commit verifies the whole content against the CID and renames it into place; ErrCorrupt discards it.
func (p *Partial) Commit() error  { panic("stub") }
func (p *Partial) Discard() error { panic("stub") } // throw the bytes away
func (p *Partial) Close() error   { panic("stub") } // keep the bytes for a later resume
