package sim

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// membership lasts longer than any simulation.
const membership = 365 * 24 * time.Hour

// ballast is what a home keeps to free when the disk is full: see package storage. A file that is there is left as it is, so that a
// thousand homes do not hold back 32 MiB each.
const ballast = "ballast"

// federation is the members' keys and a home with their certificates, of which every node gets a copy.
type federation struct {
	dir     string
	genesis *record.Signed
	keys    []crypto.PrivKey
	ids     []peer.ID
}

func newFederation(dir string, nodes int, seed uint64) (*federation, error) {
	f := &federation{dir: dir}
	founder, id, err := keyOf(seed, "founder")
	if err != nil {
		return nil, err
	}
	if f.genesis, err = sign(founder, cid.Undef, 1, &record.Federation{Name: "simulation", Founder: id}); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(f.template(), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(f.template(), ballast), nil, 0o600); err != nil {
		return nil, err
	}
	store, err := storage.Open(f.template(), storage.Options{})
	if err != nil {
		return nil, err
	}
	return f, errors.Join(f.certify(store, founder, nodes, seed), store.Close())
}

func (f *federation) template() string { return filepath.Join(f.dir, "template") }

func (f *federation) certify(store *storage.Store, founder crypto.PrivKey, nodes int, seed uint64) error {
	if _, err := store.PutRecord(f.genesis); err != nil {
		return err
	}
	for i := range nodes {
		name := "node-" + strconv.Itoa(i)
		key, id, err := keyOf(seed, name)
		if err != nil {
			return err
		}
		f.keys, f.ids = append(f.keys, key), append(f.ids, id)
		// Not by p2p.Certify, which reads all certificates before it issues one.
		cert, err := sign(founder, f.genesis.CID, uint64(i)+2, &record.Certificate{
			Subject: id, Name: name, Role: record.RoleEdge, Expires: time.Now().Add(membership).Unix(),
		}, f.genesis.CID)
		if err != nil {
			return err
		}
		if _, err := store.PutRecord(cert); err != nil {
			return err
		}
	}
	return nil
}

// open makes the home of node i and opens its store.
func (f *federation) open(i int) (*storage.Store, error) {
	home := filepath.Join(f.dir, strconv.Itoa(i))
	if err := os.CopyFS(home, os.DirFS(f.template())); err != nil {
		return nil, fmt.Errorf("home of node %d: %w", i, err)
	}
	return storage.Open(home, storage.Options{MinFree: minFree})
}

// delta is a record that node i publishes as its seq-th.
func (f *federation) delta(i int, round, seq uint64, components ...record.Component) (*record.Signed, error) {
	return sign(f.keys[i], f.genesis.CID, seq, &record.Delta{Round: round, Base: f.genesis.CID, Modalities: []string{"image"}, Components: components})
}

func sign[T record.Body](key crypto.PrivKey, federation cid.Cid, seq uint64, body *T, parents ...cid.Cid) (*record.Signed, error) {
	kind, b, err := record.NewBody(body)
	if err != nil {
		return nil, err
	}
	return record.Sign(key, record.Record{Kind: kind, Federation: federation, Seq: seq, Parents: parents, Created: time.Now().UnixMilli(), Body: b})
}

func keyOf(seed uint64, name string) (crypto.PrivKey, peer.ID, error) {
	sum := sha256.Sum256([]byte(fmt.Sprintf("mlecs sim %d %s", seed, name)))
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(sum[:]))
	if err != nil {
		return nil, "", err
	}
	id, err := peer.IDFromPrivateKey(key)
	return key, id, err
}
