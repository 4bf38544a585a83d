package testnet

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/mlecs/mlecs/learn/data"
)

// Fingerprint is the CID of a data set: that of a manifest with the SHA-256 and path of metadata.jsonl and of every file that its rows
// name, in order of path. Equal content has an equal fingerprint wherever it lies.
func Fingerprint(set *data.Set) (string, error) {
	paths := map[string]bool{data.MetadataFile: true}
	for _, r := range set.Rows {
		for _, p := range r.Files {
			paths[p] = true
		}
	}
	manifest := sha256.New()
	for _, p := range sortedKeys(paths) {
		sum, err := hashFile(filepath.Join(set.Dir, filepath.FromSlash(p)))
		if err != nil {
			return "", fmt.Errorf("fingerprint of data set %s: %w", set.Dir, err)
		}
		fmt.Fprintf(manifest, "%x  %s\n", sum, p)
	}
	mh, err := multihash.Encode(manifest.Sum(nil), multihash.SHA2_256)
	if err != nil {
		return "", fmt.Errorf("fingerprint of data set %s: %w", set.Dir, err)
	}
	return cid.NewCidV1(cid.Raw, mh).String(), nil
}

func hashFile(path string) (sum []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}
