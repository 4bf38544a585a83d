package node

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/node/api"
)

// Key files hold one line: base64 of libp2p's key encoding. They never enter a log or an error.

// newKey makes an Ed25519 key in a file that must not exist.
func newKey(path string) (crypto.PrivKey, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("make key %s: %w", path, fs.ErrExist)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", path, err)
	}
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", path, err)
	}
	if err := writeFile(path, []byte(base64.StdEncoding.EncodeToString(b)+"\n")); err != nil {
		return nil, fmt.Errorf("make key %s: %w", path, err)
	}
	return key, nil
}

// ReadKey reads an Ed25519 key from a file of a home, and refuses a file that others could have read.
func ReadKey(path string) (crypto.PrivKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, api.Advise(fmt.Errorf("read key %s: other users may read it (mode %o)", path, mode), "if nobody has, run: chmod 600 %s", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	// The causes below are left out of the errors: they may quote the file.
	damaged := api.Advise(fmt.Errorf("read key %s: it does not hold an Ed25519 key", path), "restore it from a backup")
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, damaged
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, damaged
	}
	if _, ok := key.(*crypto.Ed25519PrivateKey); !ok {
		return nil, damaged
	}
	return key, nil
}

// identity is the node's own key.
func (h *Home) identity() (crypto.PrivKey, error) { return ReadKey(h.path(identityFile)) }

// founder is the federation's key, in the home that created it.
func (h *Home) founder() (crypto.PrivKey, error) {
	key, err := ReadKey(h.path(founderFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Advise(fmt.Errorf("home %s has no founder key, and is no delegate's: %w", h.Dir, fs.ErrNotExist), "do it in the home that created the federation, or in a delegate's")
	}
	return key, err
}

// PeerID is the node's id, from its key.
func (h *Home) PeerID() (peer.ID, error) {
	key, err := h.identity()
	if err != nil {
		return "", err
	}
	return peer.IDFromPrivateKey(key)
}
