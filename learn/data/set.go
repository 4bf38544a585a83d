package data

import (
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

// Kinds of modality, told by file extension: .png .jpg .jpeg image, .wav audio, .csv series; the field "text" is text.
const (
	Image  = "image"
	Audio  = "audio"
	Series = "series"
	Text   = "text"
)

// Names of the files that make a folder a data set. DatasetFile is optional and describes the set as a whole.
const (
	MetadataFile = "metadata.jsonl"
	DatasetFile  = "dataset.json"
)

// maxFileBytes bounds one media file.
const maxFileBytes = 64 << 20

// Row is one line of metadata.jsonl.
type Row struct {
	ID     string            // unique; "row-LINE" where the line has none
	Files  map[string]string // modality -> path relative to the folder, with forward slashes
	Text   string
	Target string
	Domain string
	Split  string         // "train", "validation", "test" or ""
	Fields map[string]any // everything else, e.g. "sequence"; numbers are json.Number
	Line   int            // in metadata.jsonl, from 1
}

// Has tells whether the row has the modality.
func (r Row) Has(modality string) bool {
	if modality == Text {
		return r.Text != ""
	}
	return r.Files[modality] != ""
}

// FileModalities are the modalities that the row has a file of, by name.
func (r Row) FileModalities() []string { return slices.Sorted(maps.Keys(r.Files)) }

// Field is a further field's value as text, "" where the row has none.
func (r Row) Field(name string) string {
	switch v := r.Fields[name].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// Sequence names the recording that the row is a part of, or is "". Rows of one sequence overlap or follow each other
// and must not be divided between training and test.
func (r Row) Sequence() string { return r.Field("sequence") }

// Set is an opened folder. It is read-only and safe for concurrent use.
type Set struct {
	Dir       string
	Name      string // of dataset.json, else the folder's name
	Generated bool   // dataset.json says so
	Rows      []Row
	Kinds     map[string]string // modality -> kind, of the modalities that some row has
}

// description is what dataset.json must hold; other keys are the author's.
type description struct {
	Name      string `json:"name"`
	Generated bool   `json:"generated"`
}

// Open reads and checks every row of dir/metadata.jsonl. The error names file, line and field of up to ten problems:
// lines that are no JSON objects or too long, duplicate ids, unknown splits, one modality with two kinds, and files that
// are missing, empty, too large, of an unknown type or outside dir (also by a symbolic link). What is in the files is
// checked when they are decoded; see Inspect.
func Open(dir string) (*Set, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening data set: %w", err)
	}
	defer root.Close()
	set := &Set{Dir: dir}
	if set.Name, set.Generated, err = describe(root, dir); err != nil {
		return nil, err
	}
	file, err := root.Open(MetadataFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening data set %s: %w; it needs one JSON object a row there", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening data set %s: %w", dir, err)
	}
	defer file.Close()
	rows, kinds, err := decodeRows(file, func(name string) error { return checkFile(root, name) })
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", dir, err)
	}
	set.Rows, set.Kinds = rows, kinds
	return set, nil
}

// describe reads dataset.json, if there is one.
func describe(root *os.Root, dir string) (name string, generated bool, err error) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	name = filepath.Base(dir)
	data, err := readFile(root, DatasetFile, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return name, false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("data set %s: %w", dir, err)
	}
	var d description
	if err := json.Unmarshal(data, &d); err != nil {
		return "", false, fmt.Errorf("data set %s: %s: %w", dir, DatasetFile, err)
	}
	if d.Name != "" {
		name = d.Name
	}
	return name, d.Generated, nil
}

// checkFile tells what is wrong with a media file that can be seen without decoding it.
func checkFile(root *os.Root, name string) error {
	info, err := root.Stat(filepath.FromSlash(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("file %s is missing", name)
	case err != nil:
		return fmt.Errorf("file %s: %w", name, bare(err))
	case !info.Mode().IsRegular():
		return fmt.Errorf("file %s is not a regular file", name)
	case info.Size() == 0:
		return fmt.Errorf("file %s is empty", name)
	case info.Size() > maxFileBytes:
		return fmt.Errorf("file %s has %d MiB, more than the limit of %d MiB", name, info.Size()>>20, maxFileBytes>>20)
	}
	return nil
}

// bare drops the operation and path that an error repeats.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// readFile reads a whole file within root. The size is bounded while reading too, since it may change after the check.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, bare(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return data, nil
}

// read is the content of one of the set's media files.
func (s *Set) read(name string) ([]byte, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening data set: %w", err)
	}
	defer root.Close()
	// Asked again, since a pipe put in a file's place after Open would block the reader.
	if err := checkFile(root, name); err != nil {
		return nil, err
	}
	return readFile(root, name, maxFileBytes)
}

// Modalities in name order.
func (s *Set) Modalities() []string { return slices.Sorted(maps.Keys(s.Kinds)) }

// Subset has the same folder with other rows, and only the modalities that one of them has.
func (s *Set) Subset(rows []Row) *Set {
	sub := *s
	sub.Rows = rows
	sub.Kinds = make(map[string]string)
	for name, kind := range s.Kinds {
		if slices.ContainsFunc(rows, func(r Row) bool { return r.Has(name) }) {
			sub.Kinds[name] = kind
		}
	}
	return &sub
}

// Training is the rows that may be learned from: those with split "train" or none.
func (s *Set) Training() []Row { return s.with("train", "") }

// Testing is the rows with split "test".
func (s *Set) Testing() []Row { return s.with("test") }

func (s *Set) with(splits ...string) []Row {
	var rows []Row
	for _, row := range s.Rows {
		if slices.Contains(splits, row.Split) {
			rows = append(rows, row)
		}
	}
	return rows
}
