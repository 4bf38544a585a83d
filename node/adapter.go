package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// loraName is the component that is a LoRA adapter.
const loraName = "lora"

// Adapter finds the LoRA of a delta, or the newest that is stored.
func (v *view) Adapter(_ context.Context, delta string) (*api.Adapter, error) {
	if delta != "" {
		found, err := v.findDelta(delta)
		if err != nil {
			return nil, err
		}
		d := &deltaEntry{Record: found.Record, cid: found.CID, body: found.body}
		c := v.loraOf(d.body.Components)
		switch {
		case c == nil:
			return nil, api.Advise(fmt.Errorf("delta %s has no component %q: %w", d.cid, loraName, api.ErrNotFound), "see what it has with `mlecs delta show %s`", d.cid)
		case !v.store.HasBlob(c.Blob.CID):
			return nil, api.Advise(fmt.Errorf("blob %s of delta %s is not on this node: %w", c.Blob.CID, d.cid, api.ErrNotFound), "ask its author, or a super-peer that aggregated it")
		}
		return v.adapterOf(d, *c)
	}
	if v.genesis != nil {
		for a := range v.recent.back() {
			if c, base := v.averagedLora(a); c != nil {
				out := &api.Adapter{Of: "aggregate", CID: a.cid.String(), Round: a.body.Round, Author: a.Author.String()}
				return out, v.describeAdapter(out, *c, base)
			}
		}
		books, err := v.books()
		if err != nil {
			return nil, err
		}
		for _, d := range slices.Backward(books.allDeltas()) {
			if c := v.loraOf(d.body.Components); c != nil && v.store.HasBlob(c.Blob.CID) {
				return v.adapterOf(d, *c)
			}
		}
	}
	return nil, api.Advise(fmt.Errorf("an adapter: %w: nothing has been learned or received yet", api.ErrNotFound), "start the node and wait for a round: mlecs rounds")
}

// loraOf finds the LoRA among the components of a delta.
func (v *view) loraOf(all []record.Component) *record.Component {
	for i, c := range all {
		if c.Name == loraName {
			return &all[i]
		}
	}
	return nil
}

// averagedLora finds the stored LoRA of an aggregate, the first family's if there are several, with its base. That is the base of the
// deltas that it was averaged from; where it came from none, as in round 0, only a federation of one family leaves no doubt.
func (v *view) averagedLora(a *aggregateEntry) (*record.Component, cid.Cid) {
	bases := map[cid.Cid]cid.Cid{} // by delta
	for _, in := range a.body.Inputs {
		if r, err := v.store.Record(in.Delta); err == nil {
			if d, err := record.BodyAs[record.Delta](r); err == nil {
				bases[in.Delta] = d.Base
			}
		}
	}
	for _, family := range v.genesis.Bases.Edge {
		for _, c := range a.body.Components {
			of := func(in record.ComponentWeight) bool { return bases[in.Delta] == family.Blob.CID }
			if c.Name == loraName && v.store.HasBlob(c.Blob.CID) && (len(v.genesis.Bases.Edge) == 1 || slices.ContainsFunc(c.Inputs, of)) {
				return &c.Component, family.Blob.CID
			}
		}
	}
	return nil, cid.Undef
}

func (v *view) adapterOf(d *deltaEntry, c record.Component) (*api.Adapter, error) {
	out := &api.Adapter{Of: "delta", CID: d.cid.String(), Round: d.body.Round, Author: d.Author.String()}
	if adapter.OfDifferences(c.Codec) {
		reference, err := v.startOf(d, c)
		if err != nil {
			return nil, err
		}
		out.Reference = v.component(*reference)
		if out.ReferenceFile, err = filepath.Abs(v.store.BlobPath(reference.Blob.CID)); err != nil {
			return nil, err
		}
	}
	return out, v.describeAdapter(out, c, d.body.Base)
}

// startOf is the component of the aggregate that a delta's round started from, which its own is the difference to.
func (v *view) startOf(d *deltaEntry, c record.Component) (*record.Component, error) {
	if len(d.Parents) > 0 {
		if start := v.recent.aggregate(d.Parents[0]); start != nil {
			for _, part := range start.body.Components {
				if part.Name == c.Name && part.Signature == c.Signature && v.store.HasBlob(part.Blob.CID) {
					return &part.Component, nil
				}
			}
		}
	}
	return nil, api.Advise(fmt.Errorf("the aggregate that delta %s is the difference to is not on this node: %w", d.cid, api.ErrNotFound),
		"ask its author, or export an aggregate: leave out --delta")
}

// describeAdapter fills in what the component, its base model and the federation's method tell.
func (v *view) describeAdapter(a *api.Adapter, c record.Component, base cid.Cid) error {
	if v.genesis == nil {
		return noFederation()
	}
	a.Alpha, a.Dropout = v.genesis.method.Spec.Alpha, v.genesis.method.Spec.LoRADrop
	a.Component, a.Base = v.component(c), api.Model{CID: base.String()}
	var err error // a home may be relative to where the node was started
	if a.File, err = filepath.Abs(v.store.BlobPath(c.Blob.CID)); err != nil {
		return err
	}
	if a.BaseFile, err = filepath.Abs(v.store.BlobPath(base)); err != nil {
		return err
	}
	for family, b := range v.genesis.Bases.Edge {
		if b.Blob.CID == base {
			a.Base = v.model(record.RoleEdge, b)
			a.Base.Family = family
			break
		}
	}
	return nil
}

// ExportOptions say how an adapter leaves a home.
type ExportOptions struct {
	Delta string // CID or unique prefix of a delta; empty: the newest adapter stored
	Base  string // base_model_name_or_path; empty: the name of the base model
	Merge bool   // write the base model with the adapter in its weights, in place of the adapter

	// WithBase writes the base model too, as Transformers loads it, into the folder baseFolder of the adapter's, which is then the default
	// of Base: nobody else has a base model that was pretrained for the federation.
	WithBase bool
}

// baseFolder is where WithBase puts the base model.
const baseFolder = "base"

// ExportAdapter writes a LoRA adapter that the home holds into dir, which must be empty or not there: as HuggingFace PEFT loads it, or
// merged into its base model as Transformers does. It gives what was exported and the files' names.
func ExportAdapter(ctx context.Context, src api.Source, dir string, o ExportOptions) (*api.Adapter, []string, error) {
	a, err := src.Adapter(ctx, o.Delta)
	if err != nil {
		return nil, nil, err
	}
	if o.WithBase && o.Base == "" {
		if o.Base, err = filepath.Abs(filepath.Join(dir, baseFolder)); err != nil {
			return nil, nil, err
		}
	}
	files, err := exportAdapter(a, o)
	if err != nil {
		return nil, nil, fmt.Errorf("export the adapter of %s %s: %w", a.Of, a.CID, err)
	}
	names := slices.Sorted(maps.Keys(files))
	if err := writeNewFolder(dir, files); err != nil {
		return nil, nil, fmt.Errorf("export the adapter of %s %s: %w", a.Of, a.CID, err)
	}
	return a, names, nil
}

// exportAdapter gives the content of the files by name.
func exportAdapter(a *api.Adapter, o ExportOptions) (map[string][]byte, error) {
	if a.Component.Bytes > maxComponent || a.Base.Bytes > maxBase {
		return nil, fmt.Errorf("adapter and base model of %d and %d bytes are too large", a.Component.Bytes, a.Base.Bytes)
	}
	blob, err := readVerified(a.File, a.Component.CID)
	if err != nil {
		return nil, err
	}
	var reference adapter.Component
	if a.ReferenceFile != "" {
		raw, err := readVerified(a.ReferenceFile, a.Reference.CID)
		if err != nil {
			return nil, err
		}
		if reference, err = adapter.Decode(a.Reference.Codec, raw, a.Reference.Params); err != nil {
			return nil, fmt.Errorf("the aggregate that it is the difference to: %w", err)
		}
	}
	c, err := method.Blob{Codec: a.Component.Codec, Bytes: blob}.Open(reference, a.Component.Params)
	if err != nil {
		return nil, err
	}
	if o.Base == "" {
		o.Base = a.Base.Name
	}
	p, err := adapter.NewPEFT(c, o.Base, a.Alpha, a.Dropout)
	if err != nil {
		return nil, err
	}
	if o.Merge {
		return mergedFiles(a, p)
	}
	var config, weights bytes.Buffer
	if err := p.Write(&config, &weights); err != nil {
		return nil, err
	}
	files := map[string][]byte{adapter.PEFTConfigFile: config.Bytes(), adapter.PEFTModelFile: weights.Bytes()}
	if o.WithBase {
		base, err := baseOf(a)
		if err != nil {
			return nil, err
		}
		folder, err := transformersFiles(base)
		if err != nil {
			return nil, err
		}
		for name, content := range folder {
			files[filepath.Join(baseFolder, name)] = content
		}
	}
	return files, nil
}

// baseOf reads the base model of an adapter.
func baseOf(a *api.Adapter) (*model.Base, error) {
	if !a.Base.Stored {
		return nil, fmt.Errorf("base model %s is not on this node: %w", a.Base.CID, api.ErrNotFound)
	}
	blob, err := readVerified(a.BaseFile, a.Base.CID)
	if err != nil {
		return nil, fmt.Errorf("base model: %w", err)
	}
	return model.ReadBase(bytes.NewReader(blob), maxBase)
}

// mergedFiles are a HuggingFace folder of the base model with p in its weights.
func mergedFiles(a *api.Adapter, p *adapter.PEFT) (map[string][]byte, error) {
	base, err := baseOf(a)
	if err != nil {
		return nil, err
	}
	changed, err := p.Merge(func(name string) (adapter.Tensor, bool) {
		t, ok := base.Tensors[name]
		return t, ok
	})
	if err != nil {
		return nil, err
	}
	for _, t := range changed {
		base.Tensors[t.Name] = t
	}
	if err := base.Validate(); err != nil {
		return nil, fmt.Errorf("merged model: %w", err)
	}
	return transformersFiles(base)
}

// transformersFiles are a HuggingFace folder of a model.
func transformersFiles(base *model.Base) (map[string][]byte, error) {
	config, err := transformersConfig(base)
	if err != nil {
		return nil, err
	}
	tokenizer, err := json.Marshal(base.Tokenizer)
	if err != nil {
		return nil, fmt.Errorf("encode the tokenizer: %w", err)
	}
	var weights bytes.Buffer
	if err := adapter.WriteTensors(&weights, slices.Collect(maps.Values(base.Tensors)), map[string]string{"format": "pt"}); err != nil {
		return nil, err
	}
	return map[string][]byte{"config.json": config, "tokenizer.json": tokenizer, "model.safetensors": weights.Bytes()}, nil
}

// transformersConfig is the base's config.json with what Transformers needs to choose a class, and the token that ends a text.
func transformersConfig(base *model.Base) ([]byte, error) {
	text, err := json.Marshal(base.Config)
	if err != nil {
		return nil, fmt.Errorf("encode the config: %w", err)
	}
	options := map[string]any{}
	if err := json.Unmarshal(text, &options); err != nil {
		return nil, fmt.Errorf("encode the config: %w", err)
	}
	class, ok := map[model.Family]string{model.GPT2: "GPT2LMHeadModel", model.Llama: "LlamaForCausalLM"}[base.Config.Family]
	if !ok {
		return nil, fmt.Errorf("models of the family %v cannot be exported", base.Config.Family)
	}
	options["model_type"], options["architectures"], options["torch_dtype"] = base.Config.Family.String(), []string{class}, "float32"
	options["eos_token_id"], options["bos_token_id"] = base.Tokenizer.End(), base.Tokenizer.End()
	if begin := base.Tokenizer.Begin(); len(begin) > 0 {
		options["bos_token_id"] = begin[0]
	}
	text, err = json.MarshalIndent(options, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the config: %w", err)
	}
	return append(text, '\n'), nil
}

// readVerified reads a blob's file beside the node that holds the store, and compares it with its CID.
func readVerified(path, id string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", err)
	}
	if record.BlobCID(b).String() != id {
		return nil, fmt.Errorf("read blob: file %s does not hold %s: it is damaged", path, id)
	}
	return b, nil
}

// writeNewFolder writes files into a folder that is made, or empty.
func writeNewFolder(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_, err = d.Readdirnames(1)
	d.Close()
	if err == nil {
		return api.Advise(fmt.Errorf("folder %s is not empty", dir), "name another one")
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}
