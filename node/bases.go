package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// maxBase bounds a base model blob.
const maxBase = 8 << 30

// makeBases stores the base models given, and pretrains those that are not on the targets of the public rows.
func makeBases(ctx context.Context, store *storage.Store, rows []data.Row, s FederationSpec) (map[record.Role]record.Base, error) {
	var given method.Bases
	if s.EdgeBase != "" {
		b, err := readBaseFile(s.EdgeBase)
		if err != nil {
			return nil, err
		}
		given.Small = append(given.Small, b)
	}
	if s.SuperBase != "" {
		var err error
		if given.Large, err = readBaseFile(s.SuperBase); err != nil {
			return nil, err
		}
	}
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = r.Target
	}
	all, err := given.Complete(ctx, s.Method, texts, s.Progress)
	if errors.Is(err, method.ErrTokenizers) {
		err = api.Advise(err, "train the others with the tokenizer of the first")
	}
	if err != nil {
		return nil, err
	}
	name := func(pretrained, file string) string {
		if file != "" {
			return "given"
		}
		return pretrained
	}
	bases := map[record.Role]record.Base{}
	if bases[record.RoleEdge], err = storeBase(store, name("edge-small", s.EdgeBase), all.Small[0]); err != nil {
		return nil, err
	}
	bases[record.RoleSuper], err = storeBase(store, name("super-large", s.SuperBase), all.Large)
	return bases, err
}

func storeBase(store *storage.Store, name string, b *model.Base) (record.Base, error) {
	var buf bytes.Buffer
	if err := b.Write(&buf); err != nil {
		return record.Base{}, fmt.Errorf("encode base model %s: %w", name, err)
	}
	blob, err := store.PutBlobBytes(buf.Bytes())
	if err != nil {
		return record.Base{}, fmt.Errorf("store base model %s: %w", name, err)
	}
	return record.Base{Name: name, Params: b.Params(), Blob: blob}, nil
}

func readBaseFile(path string) (*model.Base, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read base model: %w", err)
	}
	defer f.Close()
	b, err := model.ReadBase(f, maxBase)
	if err != nil {
		return nil, fmt.Errorf("read base model %s: %w", path, err)
	}
	return b, nil
}

// loadBase reads a role's base model from the store, where its content was verified when it came in.
func loadBase(store *storage.Store, g *genesis, role record.Role) (*model.Base, error) {
	base := g.Bases[role]
	r, size, err := store.OpenBlob(base.Blob.CID)
	if err != nil {
		return nil, fmt.Errorf("open base model %s (%s): %w", base.Name, base.Blob.CID, err)
	}
	defer r.Close()
	b, err := model.ReadBase(io.LimitReader(r, size), maxBase)
	if err != nil {
		return nil, fmt.Errorf("read base model %s (%s): %w", base.Name, base.Blob.CID, err)
	}
	return b, nil
}
