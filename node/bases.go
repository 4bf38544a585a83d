package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// maxBase bounds a base model blob.
const maxBase = 8 << 30

// withFamilies is the method for a federation with these many bases given for edges: a family that only its base tells from the first
// has the first's structure.
func withFamilies(m method.Config, bases int) method.Config {
	m.Families = slices.Clone(m.Families)
	for 1+len(m.Families) < bases {
		m.Families = append(m.Families, method.Family{})
	}
	return m
}

// makeBases stores the base models given, and pretrains those that are not on the targets of the public rows. The configuration is s.Method with
// room for answers like those.
func makeBases(ctx context.Context, store *storage.Store, rows []data.Row, s FederationSpec) (record.Bases, method.Config, error) {
	var none record.Bases
	var given method.Bases
	for _, path := range s.EdgeBases {
		b, err := readBaseFile(path)
		if err != nil {
			return none, s.Method, err
		}
		given.Small = append(given.Small, b)
	}
	if s.SuperBase != "" {
		var err error
		if given.Large, err = readBaseFile(s.SuperBase); err != nil {
			return none, s.Method, err
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
		return none, s.Method, err
	}
	var out record.Bases
	for family, b := range all.Small {
		name := "edge-small"
		if family < len(s.EdgeBases) {
			name = "given"
		}
		if family > 0 {
			name = fmt.Sprintf("%s-%d", name, family)
		}
		base, err := storeBase(store, name, b)
		if err != nil {
			return none, s.Method, err
		}
		out.Edge = append(out.Edge, base)
	}
	name := "super-large"
	if s.SuperBase != "" {
		name = "given"
	}
	if out.Super, err = storeBase(store, name, all.Large); err != nil {
		return none, s.Method, err
	}
	return out, s.Method.WithRoom(all.Small[0].Tokenizer, texts), nil
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

// loadBase is loadBase for learning and answering, with the base stored as the node's owner wants it. No other member can tell.
func (c Config) loadBase(store *storage.Store, base record.Base) (*model.Base, error) {
	dtype, err := kernel.ParseDType(c.BaseDType)
	if err != nil {
		return nil, fmt.Errorf("base_dtype: %w", err)
	}
	b, err := loadBase(store, base)
	if err != nil {
		return nil, err
	}
	return b.Stored(dtype), nil
}

// baseDTypeShortfall says what this machine takes in place of base_dtype; empty: nothing else.
func (c Config) baseDTypeShortfall() string {
	dtype, err := kernel.ParseDType(c.BaseDType)
	if err != nil {
		return "" // a config that is checked has none such
	}
	return dtype.Shortfall()
}

// loadBase reads a base model from the store, where its content was verified when it came in.
func loadBase(store *storage.Store, base record.Base) (*model.Base, error) {
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

// loadTier reads a super-peer's base models: the large one, and one small one a family.
func (c Config) loadTier(store *storage.Store, g *genesis) (large *model.Base, small []*model.Base, err error) {
	if large, err = c.loadBase(store, g.Bases.Super); err != nil {
		return nil, nil, err
	}
	for _, base := range g.Bases.Edge {
		b, err := c.loadBase(store, base)
		if err != nil {
			return nil, nil, err
		}
		small = append(small, b)
	}
	return large, small, nil
}
