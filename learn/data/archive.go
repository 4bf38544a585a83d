package data

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxArchiveFiles bounds the number of entries that Extract takes.
const maxArchiveFiles = maxRows

// Archive writes a tar of the rows' files of one modality. The bytes depend on nothing but the files' paths and
// contents: entries are in path order, each file once, without owner, time or mode. Of the modality "text", which lives
// in metadata.jsonl, the archive is empty.
func (s *Set) Archive(w io.Writer, rows []Row, modality string) error {
	var files []string
	for _, row := range rows {
		if file := row.Files[modality]; file != "" {
			files = append(files, file)
		}
	}
	if err := s.archive(w, files); err != nil {
		return fmt.Errorf("archiving modality %s: %w", modality, err)
	}
	return nil
}

// ArchiveRows writes a tar of all files of rows, as Archive does of those of one modality.
func (s *Set) ArchiveRows(w io.Writer, rows []Row) error {
	var files []string
	for _, row := range rows {
		files = append(files, row.files()...)
	}
	if err := s.archive(w, files); err != nil {
		return fmt.Errorf("archiving data set %s: %w", s.Name, err)
	}
	return nil
}

func (s *Set) archive(w io.Writer, files []string) error {
	slices.Sort(files)
	files = slices.Compact(files)
	out := tar.NewWriter(w)
	for _, file := range files {
		raw, err := s.read(file)
		if err != nil {
			return err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: file, Size: int64(len(raw)), Mode: 0o644, ModTime: time.Unix(0, 0)}
		if err := out.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if _, err := out.Write(raw); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return out.Close()
}

// Extract unpacks an archive into dir, which it makes if need be. The archive may come from a stranger: an entry that is
// not a plain media file within dir, that is there already, or that takes the sum of sizes beyond limit bytes, is an
// error. What was unpacked before it stays.
func Extract(r io.Reader, dir string, limit int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("extracting archive: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("extracting archive: %w", err)
	}
	defer root.Close()
	in := tar.NewReader(r)
	left := limit
	for n := 1; ; n++ {
		header, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("extracting archive into %s: entry %d: %w", dir, n, err)
		}
		if err := checkEntry(header, n, left); err != nil {
			return fmt.Errorf("extracting archive into %s: entry %d %q: %w", dir, n, header.Name, err)
		}
		left -= header.Size
		if err := unpack(root, filepath.FromSlash(path.Clean(header.Name)), in); err != nil {
			return fmt.Errorf("extracting archive into %s: entry %d %q: %w", dir, n, header.Name, err)
		}
	}
}

func checkEntry(header *tar.Header, n int, left int64) error {
	switch {
	case n > maxArchiveFiles:
		return fmt.Errorf("more than %d files", maxArchiveFiles)
	case header.Typeflag != tar.TypeReg:
		return errors.New("not a regular file")
	case path.IsAbs(header.Name) || !filepath.IsLocal(filepath.FromSlash(header.Name)) || strings.ContainsAny(header.Name, "\\\x00"):
		return errors.New("the path is not within the folder")
	case kindOf[strings.ToLower(path.Ext(header.Name))] == "":
		return errors.New("not a media file")
	case header.Size < 0 || header.Size > maxFileBytes:
		return fmt.Errorf("%d bytes, more than the limit of %d for a file", header.Size, maxFileBytes)
	case header.Size > left:
		return errors.New("the archive is larger than its limit")
	}
	return nil
}

func unpack(root *os.Root, name string, in io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}
