package data

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Anonymous puts rows into the order and gives them the ids in which a federation sees them as its public rows: p000001
// and on, by what the rows show to everybody. Neither tells a target, as the originals often do. Files stay what they are;
// split and further fields are dropped. progress may be nil.
func (s *Set) Anonymous(ctx context.Context, rows []Row, progress func(done, total int)) ([]Row, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	type keyed struct {
		Row
		key [sha256.Size]byte
	}
	sorted := make([]keyed, len(rows))
	for i, r := range rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key, err := contentKey(root, r)
		if err != nil {
			return nil, fmt.Errorf("%srow %s: %w", s.Place(r), r.ID, err)
		}
		sorted[i] = keyed{r, key}
		if progress != nil {
			progress(i+1, len(rows))
		}
	}
	slices.SortStableFunc(sorted, func(a, b keyed) int {
		return cmp.Or(bytes.Compare(a.key[:], b.key[:]), cmp.Compare(a.ID, b.ID))
	})
	anonymous := make([]Row, len(rows))
	for i, r := range sorted {
		anonymous[i] = Row{ID: fmt.Sprintf("p%06d", i+1), Files: r.Files, Text: r.Text, Target: r.Target, Domain: r.Domain, Line: r.Line}
	}
	return anonymous, nil
}

// contentKey digests what a row shows to every member.
func contentKey(root *os.Root, r Row) (key [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, name := range r.FileModalities() {
		f, err := root.Open(filepath.FromSlash(r.Files[name]))
		if err != nil {
			return key, err
		}
		fmt.Fprintf(h, "%q", name)
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return key, fmt.Errorf("read %s: %w", r.Files[name], err)
		}
	}
	fmt.Fprintf(h, "%q%q", r.Domain, r.Text)
	return [sha256.Size]byte(h.Sum(nil)), nil
}
