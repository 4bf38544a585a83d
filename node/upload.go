package node

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/node/api"
)

// maxFile bounds one file that comes with a question, as package data bounds the files of a data set.
const maxFile = 64 << 20

// RowsOfSplit makes the rows of a folder's split ready to go with a request. The caller closes them.
func RowsOfSplit(dir, splitName string) (*api.Rows, io.Closer, error) {
	want, err := parseSplit(splitName)
	if err != nil {
		return nil, nil, err
	}
	set, err := data.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	rows := rowsOf(set, want)
	if len(rows) == 0 {
		return nil, nil, errNoRows(set, want)
	}
	if err := requireTargets(set, rows); err != nil {
		return nil, nil, err
	}
	return pack(set, rows)
}

// RowOf makes the row of a folder with an id ready to go with a request. The caller closes it.
func RowOf(dir, id string) (*api.Rows, io.Closer, error) {
	set, err := data.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	row, err := chooseRow(set, id)
	if err != nil {
		return nil, nil, err
	}
	return pack(set, []data.Row{row})
}

func pack(set *data.Set, rows []data.Row) (*api.Rows, io.Closer, error) {
	var index bytes.Buffer
	if err := data.EncodeRows(&index, rows, nil); err != nil {
		return nil, nil, err
	}
	in, out := io.Pipe()
	go func() { out.CloseWithError(set.ArchiveRows(out, rows)) }()
	return &api.Rows{Index: index.Bytes(), Files: in}, in, nil
}

// filesRow is the id of a row made from files.
const filesRow = "files"

// RowOfFiles makes one row of files by modality, and of a text, which may be empty.
func RowOfFiles(files map[string]string, text string) (*api.Rows, error) {
	row := data.Row{ID: filesRow, Files: map[string]string{}, Text: text}
	var archive bytes.Buffer
	out := tar.NewWriter(&archive)
	for _, modality := range slices.Sorted(maps.Keys(files)) {
		b, err := readUpTo(files[modality], maxFile)
		if err != nil {
			return nil, fmt.Errorf("file for modality %q: %w", modality, err)
		}
		if err := data.CheckType(files[modality]); err != nil {
			return nil, api.Advise(fmt.Errorf("modality %q: %w", modality, err), "convert it: a picture to png or jpg, a sound to wav, readings to csv")
		}
		name := path.Join(modality, filepath.Base(files[modality]))
		row.Files[modality] = name
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(b)), Mode: 0o600}); err != nil {
			return nil, fmt.Errorf("file for modality %q: %w", modality, err)
		}
		if _, err := out.Write(b); err != nil {
			return nil, fmt.Errorf("file for modality %q: %w", modality, err)
		}
	}
	if err := out.Close(); err != nil {
		return nil, fmt.Errorf("pack the files: %w", err)
	}
	var index bytes.Buffer
	if err := data.EncodeRows(&index, []data.Row{row}, nil); err != nil {
		return nil, fmt.Errorf("pack the files: %w", err)
	}
	if _, err := data.DecodeRows(bytes.NewReader(index.Bytes())); err != nil {
		return nil, fmt.Errorf("the files given: %w", err)
	}
	return &api.Rows{Index: index.Bytes(), Files: &archive}, nil
}

// readUpTo reads a regular file of at most limit bytes.
func readUpTo(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", name)
	case info.Size() == 0:
		return nil, fmt.Errorf("%s is empty", name)
	case info.Size() > limit:
		return nil, fmt.Errorf("%s has %d MiB, more than the limit of %d MiB", name, info.Size()>>20, limit>>20)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s grew beyond the limit of %d MiB", name, limit>>20)
	}
	return b, err
}

// refusal is an error about what a request brings. It Is api.ErrBadRequest.
type refusal struct{ error }

func (r refusal) Unwrap() error        { return r.error }
func (r refusal) Is(target error) bool { return target == api.ErrBadRequest }

// unpackRows puts rows that came with a request into a folder that drop removes. It belongs to this user alone, and nothing is written
// outside it.
func unpackRows(rows *api.Rows) (set *data.Set, drop func(), err error) {
	dir, err := os.MkdirTemp("", "mlecs-rows-") // 0700
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder for the rows: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	if err := data.Extract(rows.Files, dir, api.MaxUpload); err != nil {
		return nil, nil, refusal{fmt.Errorf("unpack the rows' files: %w", err)}
	}
	// A tar may be followed by padding; the API sees that a client goes away once all is read.
	if _, err := io.Copy(io.Discard, rows.Files); err != nil {
		return nil, nil, refusal{fmt.Errorf("unpack the rows' files: %w", err)}
	}
	if err := os.WriteFile(filepath.Join(dir, metadataFile), rows.Index, 0o600); err != nil {
		return nil, nil, fmt.Errorf("unpack the rows: %w", err)
	}
	if set, err = data.Open(dir); err != nil {
		return nil, nil, refusal{err}
	}
	for i := range set.Rows {
		set.Rows[i].Line = 0 // the lines are not those of the client's folder
	}
	set.Name = "rows of the request"
	return set, func() { os.RemoveAll(dir) }, nil
}

// rowsFor opens the rows of a request: those that come with it, or else the node's own.
func (v *view) rowsFor(rows *api.Rows) (set *data.Set, drop func(), err error) {
	if rows != nil {
		return unpackRows(rows)
	}
	dir := v.home.dataDir(v.cfg)
	if dir == "" {
		return nil, nil, api.Advise(errors.New("this node has no rows of its own"), "name a folder with --data DIR")
	}
	if set, err = data.Open(dir); err != nil {
		return nil, nil, api.Advise(fmt.Errorf("open own data: %w", err), "name another folder with --data DIR; a testnet deletes its own unless it is run with --keep")
	}
	return set, func() {}, nil
}
