package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Write makes dir a data set folder of rows and their files; keep names the modalities to keep, nil all. Rows that have
// none of them are left out, and what the rows say goes (a caller that hides targets clears them first). Files are
// hard-linked where the file system allows it and copied elsewhere: neither folder's files may be changed in place.
// dataset.json comes along. A folder that already holds a data set is an error that matches fs.ErrExist.
//
// metadata.jsonl is written last, so a folder that has one is complete.
func (s *Set) Write(dir string, rows []Row, keep []string) error {
	if err := s.write(dir, rows, keep); err != nil {
		return fmt.Errorf("writing data set %s: %w", dir, err)
	}
	return nil
}

func (s *Set) write(dir string, rows []Row, keep []string) error {
	var index bytes.Buffer
	if err := EncodeRows(&index, rows, keep); err != nil {
		return err
	}
	if index.Len() == 0 {
		return fmt.Errorf("no row has one of the modalities %v", keep)
	}
	if err := create(dir); err != nil {
		return err
	}
	done := make(map[string]bool)
	for _, row := range rows {
		for _, file := range row.only(keep).files() {
			if done[file] {
				continue
			}
			done[file] = true
			if err := s.place(file, dir); err != nil {
				return fmt.Errorf("%s: %w", row.where(), err)
			}
		}
	}
	about, err := s.description()
	if err != nil {
		return err
	}
	return finish(dir, about, index.Bytes())
}

// create makes the folder and refuses one that holds a data set.
func create(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, MetadataFile)); err == nil {
		return fmt.Errorf("it holds a data set already: %w", fs.ErrExist)
	}
	return os.MkdirAll(dir, 0o755)
}

// finish writes the two files that describe a folder, metadata.jsonl last and at once.
func finish(dir string, about, index []byte) error {
	if err := os.WriteFile(filepath.Join(dir, DatasetFile), about, 0o644); err != nil {
		return err
	}
	path := filepath.Join(dir, MetadataFile)
	if err := os.WriteFile(path+".part", index, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// files is the row's paths in order of modality.
func (r Row) files() []string {
	var files []string
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		files = append(files, r.Files[name])
	}
	return files
}

// place puts one media file into the folder dir under its own path.
func (s *Set) place(file, dir string) error {
	name := filepath.FromSlash(file)
	if !filepath.IsLocal(name) {
		return fmt.Errorf("path %s is not within the data set's folder", file)
	}
	target := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := checkFile(root, file); err != nil {
		return err
	}
	// A hard link to a symbolic link would be a symbolic link, astray in the new folder.
	source := filepath.Join(s.Dir, name)
	if info, err := root.Lstat(name); err == nil && info.Mode().IsRegular() && os.Link(source, target) == nil {
		return nil
	}
	in, err := root.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(fmt.Errorf("copying %s: %w", file, err), out.Close(), os.Remove(target))
	}
	return out.Close()
}

// description is the set's dataset.json as it stands, or one with the set's name.
func (s *Set) description() ([]byte, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	raw, err := readFile(root, DatasetFile, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = json.Marshal(description{Name: s.Name, Generated: s.Generated})
		raw = append(raw, '\n')
	}
	return raw, err
}
