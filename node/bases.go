package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// maxBase bounds a base model blob.
const maxBase = 8 << 30

// baseVocab is the size that a tokenizer trained here may grow to: bytes, and merges for the words of the targets.
const baseVocab = 512

// pretraining is how a base model that is not given is made.
var pretraining = map[record.Role]struct {
	name   string
	config model.Config
	steps  int
}{
	record.RoleEdge:  {"edge-small", model.Config{Layers: 2, Dim: 64, Heads: 4, Positions: 128, Eps: 1e-5}, 150},
	record.RoleSuper: {"super-large", model.Config{Layers: 4, Dim: 128, Heads: 4, Positions: 128, Eps: 1e-5}, 150},
}

// BaseConfig is the architecture of the base model that is pretrained for a role if none is given: the small one for edges, the large
// one for super-peers. Vocab is the tokenizer's to say.
func BaseConfig(role record.Role) model.Config { return pretraining[role].config }

// makeBases stores the base models given, and pretrains those that are not on the targets of the public rows.
func makeBases(ctx context.Context, store *storage.Store, rows []data.Row, s FederationSpec) (map[record.Role]record.Base, error) {
	given := map[record.Role]*model.Base{}
	files := map[record.Role]string{record.RoleEdge: s.EdgeBase, record.RoleSuper: s.SuperBase}
	for role, path := range files {
		if path == "" {
			continue
		}
		b, err := readBaseFile(path)
		if err != nil {
			return nil, err
		}
		given[role] = b
	}
	if err := sameTokenizer(given); err != nil {
		return nil, err
	}
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = r.Target
	}
	var tok *model.Tokenizer
	for _, b := range given { // two have the same
		tok = b.Tokenizer
	}
	if tok == nil {
		var err error
		if tok, err = model.TrainTokenizer(texts, baseVocab); err != nil {
			return nil, fmt.Errorf("train tokenizer: %w", err)
		}
	}
	bases := make(map[record.Role]record.Base, len(files))
	for _, role := range []record.Role{record.RoleEdge, record.RoleSuper} {
		b, name := given[role], "given"
		if b == nil {
			var err error
			if b, err = pretrain(ctx, role, tok, texts, s); err != nil {
				return nil, err
			}
			name = pretraining[role].name
		}
		var buf bytes.Buffer
		if err := b.Write(&buf); err != nil {
			return nil, fmt.Errorf("encode base model for role %s: %w", role, err)
		}
		blob, err := store.PutBlobBytes(buf.Bytes())
		if err != nil {
			return nil, fmt.Errorf("store base model for role %s: %w", role, err)
		}
		bases[role] = record.Base{Name: name, Params: b.Params(), Blob: blob}
	}
	return bases, nil
}

func pretrain(ctx context.Context, role record.Role, tok *model.Tokenizer, texts []string, s FederationSpec) (*model.Base, error) {
	p := pretraining[role]
	p.config.Vocab = tok.Size()
	b, err := model.Pretrain(ctx, p.config, tok, texts, model.PretrainOptions{
		Steps: p.steps, Batch: 16, LR: 3e-3, Seed: s.Method.Seed,
		Progress: func(step, steps int, _ float64) {
			s.Progress("pretraining the "+string(role)+" base model", int64(step), int64(steps))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("pretrain base model for role %s: %w", role, err)
	}
	return b, nil
}

// sameTokenizer refuses two given bases that cut text differently: a super-peer's soft targets are token ids for edges.
func sameTokenizer(given map[record.Role]*model.Base) error {
	edge, super := given[record.RoleEdge], given[record.RoleSuper]
	if edge == nil || super == nil {
		return nil
	}
	a, err := json.Marshal(edge.Tokenizer)
	if err != nil {
		return fmt.Errorf("encode tokenizer: %w", err)
	}
	b, err := json.Marshal(super.Tokenizer)
	if err != nil {
		return fmt.Errorf("encode tokenizer: %w", err)
	}
	if !bytes.Equal(a, b) {
		return api.Advise(fmt.Errorf("the base models for edges and super-peers have different tokenizers"), "train the second with the tokenizer of the first")
	}
	return nil
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
