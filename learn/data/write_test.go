package data_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
)

func small(t testing.TB) *data.Set {
	return open(t, map[string]string{
		"metadata.jsonl": lines(
			`{"id": "a", "image_file_name": "image/a.png", "sensor_file_name": "sensor/a.csv", "target": "still", "sequence": "s"}`,
			`{"id": "b", "image_file_name": "image/b.png", "text": "hello", "target": "walking"}`,
			`{"id": "c", "sensor_file_name": "sensor/c.csv", "target": "falling"}`,
			`{"id": "d", "image_file_name": "image/a.png", "target": "still"}`),
		"dataset.json": `{"name": "small", "generated": true, "seed": 9}`,
		"image/a.png":  plain(color.White), "image/b.png": plain(color.Black),
		"sensor/a.csv": "t,x\n0,1\n1,2\n", "sensor/c.csv": "t,x\n0,3\n1,4\n",
	})
}

func TestWrite(t *testing.T) {
	s := small(t)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	rows := append([]data.Row(nil), s.Rows...)
	rows[1].Target = "" // hidden by the caller
	if err := s.Write(dir, rows, []string{"image", "text"}); err != nil {
		t.Fatal(err)
	}
	got, err := data.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "small" || !got.Generated || !reflect.DeepEqual(got.Modalities(), []string{"image", "text"}) {
		t.Errorf("name %q, generated %v, modalities %v", got.Name, got.Generated, got.Modalities())
	}
	var ids, targets []string
	for _, row := range got.Rows {
		ids, targets = append(ids, row.ID), append(targets, row.Target)
	}
	if want := []string{"a", "b", "d"}; !reflect.DeepEqual(ids, want) {
		t.Errorf("rows %v, want %v: c has neither image nor text", ids, want)
	}
	if want := []string{"still", "", "still"}; !reflect.DeepEqual(targets, want) {
		t.Errorf("targets %q, want %q", targets, want)
	}
	if got.Rows[0].Sequence() != "s" || got.Rows[1].Text != "hello" {
		t.Errorf("fields are lost: %+v", got.Rows)
	}
	if _, err := os.Stat(filepath.Join(dir, "sensor")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("files of a modality that is not kept are there")
	}
	for _, name := range []string{"image/a.png", "dataset.json"} {
		before, _ := os.ReadFile(filepath.Join(s.Dir, name))
		after, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	if err := s.Write(dir, rows, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing over a data set: error %v", err)
	}
	if err := s.Write(t.TempDir(), rows[2:3], []string{"text"}); err == nil {
		t.Error("a data set without rows is written")
	}
}

func TestArchive(t *testing.T) {
	s := small(t)
	var out, again bytes.Buffer
	if err := s.Archive(&out, s.Rows, "image"); err != nil {
		t.Fatal(err)
	}
	reversed := []data.Row{s.Rows[3], s.Rows[1], s.Rows[0]}
	if err := s.Archive(&again, reversed, "image"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("the bytes depend on the rows' order")
	}
	dir := filepath.Join(t.TempDir(), "unpacked")
	if err := data.Extract(bytes.NewReader(out.Bytes()), dir, 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"image/a.png", "image/b.png"} {
		before, _ := os.ReadFile(filepath.Join(s.Dir, name))
		after, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "sensor")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("another modality is in the archive")
	}
	var text bytes.Buffer
	if err := s.Archive(&text, s.Rows, "text"); err != nil {
		t.Fatal(err)
	}
	if err := data.Extract(&text, t.TempDir(), 0); err != nil {
		t.Errorf("the archive of text is not empty: %v", err)
	}
}

func TestArchiveRows(t *testing.T) {
	s := small(t)
	var out bytes.Buffer
	if err := s.ArchiveRows(&out, s.Rows); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := data.Extract(&out, dir, 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, row := range s.Rows {
		for _, name := range row.Files {
			before, _ := os.ReadFile(filepath.Join(s.Dir, name))
			after, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("%s differs (%v)", name, err)
			}
		}
	}
	if err := os.Remove(filepath.Join(s.Dir, "image", "a.png")); err != nil {
		t.Fatal(err)
	}
	if err := s.ArchiveRows(io.Discard, s.Rows); err == nil || !strings.Contains(err.Error(), "image/a.png") {
		t.Errorf("a file that is gone: %v", err)
	}
}

// tarball is an archive of entries; those without a type are regular files.
func tarball(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, entry := range entries {
		if entry.Typeflag == 0 {
			entry.Typeflag = tar.TypeReg
			entry.Size = max(entry.Size, 3)
		}
		entry.Mode = 0o644
		if err := w.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		if entry.Typeflag == tar.TypeReg {
			if _, err := w.Write(make([]byte, entry.Size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestExtractErrors(t *testing.T) {
	cases := []struct {
		name    string
		archive []byte
		want    string
	}{
		{"escape", tarball(t, tar.Header{Name: "../a.png"}), "the path is not within the folder"},
		{"hidden escape", tarball(t, tar.Header{Name: "a/../../a.png"}), "the path is not within the folder"},
		{"absolute", tarball(t, tar.Header{Name: "/tmp/a.png"}), "the path is not within the folder"},
		{"backslash", tarball(t, tar.Header{Name: `..\a.png`}), "the path is not within the folder"},
		{"symbolic link", tarball(t, tar.Header{Name: "a.png", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}), "not a regular file"},
		{"hard link", tarball(t, tar.Header{Name: "a.png", Linkname: "b.png", Typeflag: tar.TypeLink}), "not a regular file"},
		{"folder", tarball(t, tar.Header{Name: "a.png/", Typeflag: tar.TypeDir}), "not a regular file"},
		{"metadata", tarball(t, tar.Header{Name: "metadata.jsonl"}), "not a media file"},
		{"twice", tarball(t, tar.Header{Name: "a.png"}, tar.Header{Name: "./a.png"}), `entry 2 "./a.png": `},
		{"through the outer link", tarball(t, tar.Header{Name: "out/a.png"}), "escapes"},
		{"too large in sum", tarball(t, tar.Header{Name: "a.png", Size: 600}, tar.Header{Name: "b.png", Size: 600}), `entry 2 "b.png": the archive is larger than its limit`},
		{"cut short", tarball(t, tar.Header{Name: "a.png", Size: 600})[:600], "unexpected EOF"},
		{"no archive", []byte(strings.Repeat("hello", 200)), "invalid tar header"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "dir")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(parent, filepath.Join(dir, "out")); err != nil {
				t.Fatal(err)
			}
			err := data.Extract(bytes.NewReader(c.archive), dir, 1000)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
			entries, err := os.ReadDir(parent)
			if err != nil || len(entries) != 1 {
				t.Errorf("beside the folder there are %v (%v)", entries, err)
			}
		})
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(tarball(f, tar.Header{Name: "image/a.png"}, tar.Header{Name: "b.csv"}))
	f.Add(tarball(f, tar.Header{Name: "../a.png"}))
	f.Add(tarball(f, tar.Header{Name: "l", Linkname: "/etc", Typeflag: tar.TypeSymlink}, tar.Header{Name: "l/a.png"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		parent := t.TempDir()
		const limit = 4096
		err := data.Extract(bytes.NewReader(raw), filepath.Join(parent, "dir"), limit)
		size := int64(0)
		walk := filepath.WalkDir(parent, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if !entry.Type().IsRegular() || !strings.HasPrefix(path, filepath.Join(parent, "dir")+string(filepath.Separator)) {
				return fmt.Errorf("%s is outside or no regular file", path)
			}
			info, err := entry.Info()
			if err == nil {
				size += info.Size()
			}
			return err
		})
		if walk != nil || size > limit {
			t.Fatalf("%d bytes unpacked (%v), walking: %v", size, err, walk)
		}
	})
}

func TestInspect(t *testing.T) {
	s := small(t)
	r, err := data.Inspect(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	bytesOf := func(names ...string) (n int64) {
		for _, name := range names {
			info, err := os.Stat(filepath.Join(s.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			n += info.Size()
		}
		return n
	}
	want := &data.Report{
		Path: s.Dir, Name: "small", Generated: true, Rows: 4, Splits: map[string]int{"none": 4},
		Domains: map[string]map[string]int{"none": {"none": 4}}, Sequences: 1,
		Modalities: map[string]data.ModalityReport{
			"image":  {Kind: data.Image, Rows: 3, Missing: 1, Bytes: bytesOf("image/a.png", "image/a.png", "image/b.png"), Detail: "8x8 grey"},
			"sensor": {Kind: data.Series, Rows: 2, Missing: 2, Bytes: bytesOf("sensor/a.csv", "sensor/c.csv"), Detail: "x"},
			"text":   {Kind: data.Text, Rows: 1, Missing: 3, Bytes: 5, Detail: "UTF-8"},
		},
		Targets: data.TargetReport{Distinct: 3, MinWords: 1, MeanWords: 1, MaxWords: 1},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got\n %+v, want\n %+v", r, want)
	}
}
