package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// fileSuffix ends the metadata fields that name a modality's file.
const fileSuffix = "_file_name"

// packPublic turns rows into the federation's public data set: blobs in store and what the genesis says of them.
//
// Every member gets index and archives, only super-peers get the targets; labels (of the method's config) may put them into the index, too. Else nothing in index or archives may tell a target: ids and file
// names are made anew (originals often hold the label), in an order that depends on the files' content alone.
func packPublic(ctx context.Context, h *Home, store *storage.Store, set *data.Set, rows []data.Row, labels string, progress func(string, int64, int64)) (record.DataSet, error) {
	var ds record.DataSet
	progress("measuring the public rows", 0, 1)
	specs, err := set.Fit(rows)
	if err != nil {
		return ds, err
	}
	progress("measuring the public rows", 1, 1)
	tmp, err := os.MkdirTemp(h.Dir, ".public-")
	if err != nil {
		return ds, fmt.Errorf("make a temporary folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	anon, err := anonymise(ctx, set, rows, tmp, labels == method.LabelsEdges, progress)
	if err != nil {
		return ds, err
	}
	ds = record.DataSet{Name: set.Name, Generated: set.Generated, Rows: uint64(len(rows))}
	if ds.Index, err = store.PutBlobBytes(anon.index); err != nil {
		return ds, fmt.Errorf("store index: %w", err)
	}
	if ds.Targets, err = store.PutBlobBytes(anon.targets); err != nil {
		return ds, fmt.Errorf("store targets: %w", err)
	}
	packed, err := data.Open(tmp)
	if err != nil {
		return ds, fmt.Errorf("read the packed rows back: %w", err)
	}
	for i, m := range specs {
		if err := ctx.Err(); err != nil {
			return ds, err
		}
		progress("packing", int64(i), int64(len(specs)))
		rm := recordModality(m)
		if m.Kind != data.Text {
			if rm.Archive, err = putPiped(store, func(w io.Writer) error { return packed.Archive(w, packed.Rows, m.Name) }); err != nil {
				return ds, fmt.Errorf("pack modality %s: %w", m.Name, err)
			}
		}
		ds.Modalities = append(ds.Modalities, rm)
	}
	progress("packing", int64(len(specs)), int64(len(specs)))
	return ds, nil
}

// putPiped stores what write writes as a blob, without holding it in memory.
func putPiped(store *storage.Store, write func(io.Writer) error) (record.Blob, error) {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(write(pw)) }()
	b, err := store.PutBlob(pr)
	pr.Close() // ends the writer if the store gave up early
	return b, err
}

// anonymous is the metadata of anonymised rows.
type anonymous struct{ index, targets []byte }

// anonymise links the rows' files into dir under new names and writes metadata.jsonl there, with
// targets if labelled.
func anonymise(ctx context.Context, set *data.Set, rows []data.Row, dir string, labelled bool, progress func(string, int64, int64)) (*anonymous, error) {
	public, err := set.Anonymous(ctx, rows, func(done, total int) { progress("reading the public rows", int64(done), int64(total)) })
	if err != nil {
		return nil, err
	}
	var index, targets bytes.Buffer
	for _, r := range public {
		line := map[string]string{"id": r.ID}
		if r.Text != "" {
			line["text"] = r.Text
		}
		if r.Domain != "" {
			line["domain"] = r.Domain
		}
		if labelled {
			line["target"] = r.Target
		}
		for _, m := range r.FileModalities() {
			name := m + "/" + r.ID + filepath.Ext(r.Files[m])
			line[m+fileSuffix] = name
			if err := linkFile(filepath.Join(set.Dir, filepath.FromSlash(r.Files[m])), filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				return nil, fmt.Errorf("row %s: %w", r.ID, err)
			}
		}
		if err := appendLine(&index, line); err != nil {
			return nil, err
		}
		if err := appendLine(&targets, map[string]string{"id": r.ID, "target": r.Target}); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, metadataFile), index.Bytes(), 0o600); err != nil {
		return nil, err
	}
	return &anonymous{index: index.Bytes(), targets: targets.Bytes()}, nil
}

// appendLine appends v as one JSON line; maps are written in key order.
func appendLine(buf *bytes.Buffer, v map[string]string) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a public row: %w", err)
	}
	buf.Write(b)
	buf.WriteByte('\n')
	return nil
}

// linkFile makes to a hard link of from, or a copy where links do not work.
func linkFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(from) // a link to a symbolic link would be one again
	if err != nil {
		return err
	}
	if err := os.Link(real, to); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	src, err := os.Open(real)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// recordModality and dataModality turn a modality's description into its form in the genesis and back.
func recordModality(m data.Modality) record.Modality {
	return record.Modality{Name: m.Name, Kind: m.Kind, Shape: m.Shape, Channels: m.Channels, Mean: m.Mean, Std: m.Std, Rate: m.Rate, Seconds: m.Seconds}
}

func dataModality(m record.Modality) data.Modality {
	return data.Modality{Name: m.Name, Kind: m.Kind, Shape: m.Shape, Channels: m.Channels, Mean: m.Mean, Std: m.Std, Rate: m.Rate, Seconds: m.Seconds}
}

// modalityNames are all modalities of the federation, in the genesis's order.
func modalityNames(g *genesis) []string {
	names := make([]string, len(g.Data.Modalities))
	for i, m := range g.Data.Modalities {
		names[i] = m.Name
	}
	return names
}
