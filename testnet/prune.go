package testnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// prune deletes the bulky copies of a stopped testnet: data, base models, learner state, and what aggregates carried. Records, the deltas'
// blobs, scores and logs stay, so that everything about the run can still be inspected.
func (t *Testnet) prune() error {
	t.folder.Pruned = true
	if err := t.folder.save(); err != nil {
		return err
	}
	if t.opt.Data == "" {
		if err := os.RemoveAll(filepath.Join(t.folder.Dir, dataFolder)); err != nil {
			return fmt.Errorf("delete generated data: %w", err)
		}
	}
	for _, m := range t.folder.Members {
		if err := pruneHome(m.Home); err != nil {
			return fmt.Errorf("delete bulky copies of %s: %w", m.Name, err)
		}
	}
	return nil
}

func pruneHome(home string) (err error) {
	store, err := storage.Open(home, storage.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	keep, err := deltaBlobs(store)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	for _, name := range []string{"data", "models", "ballast"} {
		if err := os.RemoveAll(filepath.Join(home, name)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(filepath.Join(home, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || keep[d.Name()] {
			return err
		}
		return os.Remove(path)
	})
}

// deltaBlobs are the CIDs of the blobs that deltas name.
func deltaBlobs(store *storage.Store) (map[string]bool, error) {
	keep := map[string]bool{}
	for r, err := range store.Records(record.KindDelta) {
		if err != nil {
			return nil, err
		}
		d, err := record.BodyAs[record.Delta](r)
		if err != nil {
			continue // a member's mistake, kept as a record but not read
		}
		for _, c := range d.Components {
			keep[c.Blob.CID.String()] = true
		}
	}
	return keep, nil
}
