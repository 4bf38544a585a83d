package node

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
)

// A backup is a tar: manifest.json, config.yaml and the keys, then index.snapshot, models/, data/public/ and blobs/CID.
const (
	manifestFile   = "manifest.json"
	snapshotFile   = "index.snapshot"
	blobsPrefix    = "blobs/"
	backupFormat   = 1
	maxSmallEntry  = 1 << 20
	maxBackupEntry = 64 << 30
)

// manifest begins a backup.
type manifest struct {
	Format  int    `json:"format"`
	Version string `json:"version"` // of the program that wrote it
	PeerID  string `json:"peer_id"`
	Name    string `json:"name"`
	Created int64  `json:"created"` // Unix seconds
}

// Backup writes a backup of a running or a stopped node to file (0600), which must not exist. It holds the node's keys. It gives its size.
func (h *Home) Backup(ctx context.Context, file string) (size int64, err error) {
	cfg, err := h.Config()
	if err != nil {
		return 0, err
	}
	id, err := h.PeerID()
	if err != nil {
		return 0, err
	}
	if _, err := os.Lstat(file); err == nil {
		return 0, api.Advise(fmt.Errorf("backup: %s: %w", file, fs.ErrExist), "name another file")
	}
	for range backupTries {
		if err = h.backup(ctx, file, manifest{backupFormat, Version, id.String(), cfg.Name, time.Now().Unix()}); !errors.Is(err, errKeysChanged) {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("backup to %s: %w", file, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// backup writes a backup, unless keys change meanwhile: they have to be those that the index speaks of.
func (h *Home) backup(ctx context.Context, file string, m manifest) error {
	return writeFileFrom(file, func(w io.Writer) error {
		out := tar.NewWriter(w)
		head, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := addBytes(out, manifestFile, head); err != nil {
			return err
		}
		keys, err := h.smallFiles()
		if err != nil {
			return err
		}
		for i, name := range smallFiles {
			if keys[i] == nil {
				continue
			}
			if err := addBytes(out, name, keys[i]); err != nil {
				return err
			}
		}
		if err := h.backupRest(ctx, out); err != nil {
			return err
		}
		after, err := h.smallFiles()
		if err != nil {
			return err
		}
		if !slices.EqualFunc(keys[1:], after[1:], bytes.Equal) {
			return errKeysChanged
		}
		return out.Close()
	})
}

// backupTries is how often a backup is begun again because the node's identity was changing.
const backupTries = 3

var errKeysChanged = errors.New("the node's keys were changing; try again")

// smallFiles are the config and the keys, the first two of which every home has.
var smallFiles = []string{configFile, identityFile, nextIdentityFile, founderFile}

// smallFiles reads them; nil are those that are not there.
func (h *Home) smallFiles() (contents [][]byte, err error) {
	for i, name := range smallFiles {
		b, err := os.ReadFile(h.path(name))
		if err != nil && (i < 2 || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		contents = append(contents, b)
	}
	return contents, nil
}

// backupRest adds what the running node writes, or the store of a stopped one.
func (h *Home) backupRest(ctx context.Context, out *tar.Writer) error {
	_, err := administer(h, func(c *api.Client) (*struct{}, error) {
		in, pipe := io.Pipe()
		defer in.Close()
		go func() { pipe.CloseWithError(c.Backup(ctx, pipe)) }()
		return nil, copyEntries(out, tar.NewReader(in))
	}, func(store *storage.Store) (*struct{}, error) {
		return nil, h.writeBackup(ctx, out, store, func() func() { return func() {} })
	})
	return err
}

func copyEntries(out *tar.Writer, in *tar.Reader) error {
	for {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := out.WriteHeader(head); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

// Backup writes what only the running node can read.
func (v *runningView) Backup(ctx context.Context, w io.Writer) error {
	v.node.sweeping.Lock()
	defer v.node.sweeping.Unlock()
	out := tar.NewWriter(w)
	err := v.home.writeBackup(ctx, out, v.store, func() func() {
		v.node.storing.Lock()
		return v.node.storing.Unlock
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// writeBackup adds index, states, public rows and blobs. Index and states belong together: between hold and the end of what it returns, the
// learner stores nothing.
func (h *Home) writeBackup(ctx context.Context, out *tar.Writer, store *storage.Store, hold func() (release func())) error {
	snapshot, err := os.CreateTemp(h.Dir, ".tmp-snapshot-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(snapshot.Name())
	defer snapshot.Close()
	release := hold()
	err = store.Snapshot(snapshot)
	var states []*os.File
	if err == nil {
		states, err = h.openStates()
	}
	release()
	defer func() {
		for _, f := range states {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := addFile(out, snapshotFile, snapshot); err != nil {
		return err
	}
	for _, f := range states {
		if err := addFile(out, modelsDir+"/"+filepath.Base(f.Name()), f); err != nil {
			return err
		}
	}
	if err := addFolder(ctx, out, h.path(publicDir), publicDir); err != nil {
		return err
	}
	for b, err := range store.Blobs() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := addPath(out, blobsPrefix+b.CID.String(), store.BlobPath(b.CID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// openStates opens the learner's states: once open, they stay readable when they are replaced.
func (h *Home) openStates() (files []*os.File, err error) {
	names, err := filepath.Glob(filepath.Join(h.path(modelsDir), "*"+stateSuffix))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

func addBytes(out *tar.Writer, name string, b []byte) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(b)), Mode: 0o600}); err != nil {
		return err
	}
	_, err := out.Write(b)
	return err
}

func addFile(out *tar.Writer, name string, f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600}); err != nil {
		return err
	}
	_, err = io.CopyN(out, f, size)
	return err
}

func addPath(out *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return addFile(out, name, f)
}

func addFolder(ctx context.Context, out *tar.Writer, dir, prefix string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dir {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return addPath(out, prefix+"/"+filepath.ToSlash(rel), path)
	})
}

// Restore makes a home from a backup. dir must be empty or not there. Blobs are compared with their names; records are checked, and those that are
// damaged left out and told of as faults: other members have them.
func Restore(ctx context.Context, file, dir string) (h *Home, faults []api.Fault, err error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("restore: %w", err)
	}
	defer in.Close()
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, nil, api.Advise(fmt.Errorf("restore to %s: the folder is not empty", dir), "name another one with --home")
	}
	if err := makePrivateDir(dir); err != nil {
		return nil, nil, fmt.Errorf("restore: %w", err)
	}
	r := restoration{Home: &Home{Dir: dir}}
	if err := r.read(ctx, tar.NewReader(in)); err != nil {
		return nil, nil, fmt.Errorf("restore %s to %s: %w", file, dir, errors.Join(err, r.close()))
	}
	if err := r.finish(); err != nil {
		return nil, nil, fmt.Errorf("restore %s to %s: %w", file, dir, err)
	}
	return r.Home, faultsOf(r.faults), nil
}

// restoration is a home that is being made from a backup.
type restoration struct {
	*Home
	config []byte         // written last: its presence says that the home is whole
	store  *storage.Store // nil until the index is there
	faults []storage.Fault
}

func (r *restoration) close() error {
	if r.store == nil {
		return nil
	}
	return r.store.Close()
}

func (r *restoration) read(ctx context.Context, in *tar.Reader) error {
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("it is no backup, or damaged: %w", err)
		}
		if head.Typeflag != tar.TypeReg || head.Size < 0 || head.Size > maxBackupEntry || !filepath.IsLocal(filepath.FromSlash(head.Name)) {
			return fmt.Errorf("entry %q is none that a backup has", head.Name)
		}
		if (n == 0) != (head.Name == manifestFile) {
			return fmt.Errorf("it is no backup of mlecs: entry %d is %q", n, head.Name)
		}
		if err := r.entry(ctx, head, in); err != nil {
			return fmt.Errorf("entry %s: %w", head.Name, err)
		}
	}
	if r.config == nil || r.store == nil {
		return errors.New("it is no whole backup: config or index is missing")
	}
	return nil
}

// entry takes one entry; each name leads to a known place in the home.
func (r *restoration) entry(ctx context.Context, head *tar.Header, in io.Reader) error {
	small := func() ([]byte, error) {
		b, err := io.ReadAll(io.LimitReader(in, maxSmallEntry+1))
		if err == nil && len(b) > maxSmallEntry {
			err = errors.New("it is too large")
		}
		return b, err
	}
	name, isBlob := strings.CutPrefix(head.Name, blobsPrefix)
	switch {
	case head.Name == manifestFile:
		b, err := small()
		if err != nil {
			return err
		}
		var m manifest
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		if m.Format != backupFormat {
			return fmt.Errorf("its format is %d, this program reads %d; use the program that wrote it (%.20s), or a newer one", m.Format, backupFormat, m.Version)
		}
		return nil
	case head.Name == configFile:
		var err error
		if r.config, err = small(); err == nil {
			_, err = ParseConfig(configFile, r.config)
		}
		return err
	case slices.Contains(smallFiles[1:], head.Name):
		b, err := small()
		if err != nil {
			return err
		}
		return writeFile(r.path(head.Name), b)
	case head.Name == snapshotFile:
		if r.store != nil {
			return errors.New("it is there twice")
		}
		var err error
		if r.faults, err = storage.RestoreIndex(ctx, r.Dir, in); err != nil {
			return err
		}
		if r.store, err = openStore(r.Dir); err == nil && len(r.faults) > 0 { // what was found to stand may rest on what is gone
			err = r.store.Delete(keyStanding)
		}
		return err
	case isBlob && r.store != nil:
		return r.blob(name, in)
	case strings.HasPrefix(head.Name, modelsDir+"/"), strings.HasPrefix(head.Name, publicDir+"/"):
		path := r.path(head.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return writeFileFrom(path, func(w io.Writer) error {
			_, err := io.Copy(w, in)
			return err
		})
	}
	return errors.New("no backup has such an entry, or not in this place")
}

func (r *restoration) blob(name string, in io.Reader) error {
	want, err := cid.Decode(name)
	if err != nil {
		return err
	}
	got, err := r.store.PutBlob(in)
	if err != nil {
		return err
	}
	if got.CID != want {
		return errors.Join(fmt.Errorf("its content is %s: the backup is damaged", got.CID), r.store.RemoveBlob(got.CID))
	}
	return nil
}

// finish marks the home as restored, and makes it whole.
func (r *restoration) finish() error {
	if err := errors.Join(putJSON(r.store, keyRestored, time.Now().Unix()), r.close()); err != nil {
		return err
	}
	return writeFile(r.path(configFile), r.config)
}

// alone is how long a restored node waits for a member that knows what it published after the backup was made.
const alone = 2 * time.Minute

// catchUp lets a restored node hear from others what it had published itself after the backup was made: it must not use those sequence numbers,
// or train those rounds, again.
func (n *Node) catchUp(ctx context.Context) error {
	if ok, err := getJSON(n.store, keyRestored, new(int64)); err != nil || !ok {
		return err
	}
	n.log.Info("restored from a backup: waiting for a member to sync with", "at_most", alone)
	tick := time.NewTicker(retrySoon)
	defer tick.Stop()
	for deadline := time.Now().Add(alone); !n.network.Synced() && time.Now().Before(deadline); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !n.network.Synced() {
		n.log.Warn("no member was in reach: what this node published after the backup may be refused")
	}
	return n.store.Delete(keyRestored)
}
