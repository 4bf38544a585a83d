package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// ImportedAdapter says what was imported for which model.
type ImportedAdapter struct {
	Folder string    `json:"folder"`
	Rank   int       `json:"rank"`
	Params int64     `json:"params"`
	Base   api.Model `json:"base"`   // without architecture
	Round  uint64    `json:"round"`  // that begins with it
	Rounds uint64    `json:"rounds"` // of the federation; 0: endless
}

// ImportAdapter makes a stopped edge's next round begin with the LoRA of a folder, as ExportAdapter or HuggingFace PEFT writes it, in place
// of its own. What does not fit the edge's model is an error that names what differs, and changes nothing.
func (h *Home) ImportAdapter(dir string) (done *ImportedAdapter, err error) {
	store, err := openStore(h.Dir)
	if err != nil {
		return nil, fmt.Errorf("import adapter %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	m, err := loadMembership(store)
	if err != nil {
		return nil, fmt.Errorf("import adapter %s: %w", dir, err)
	}
	if m.Role != record.RoleEdge {
		return nil, api.Advise(fmt.Errorf("import adapter %s: this node is no edge", dir), "give the adapter to an edge, or to `mlecs federation create --adapter`")
	}
	g, err := loadGenesis(store, m.Federation)
	if err != nil {
		return nil, err
	}
	cfg, err := h.Config()
	if err != nil {
		return nil, err
	}
	seat, err := g.seatOf(m.Role, cfg)
	if err != nil {
		return nil, err
	}
	c, p, err := fitAdapter(store, dir, seat.base(), seat.config(), g)
	if err != nil {
		return nil, fmt.Errorf("import adapter %s: %w", dir, err)
	}
	var state edgeState
	if _, err := getJSON(store, keyEdge, &state); err != nil {
		return nil, err
	}
	if err := h.keepAdapter(state.Round, c); err != nil {
		return nil, err
	}
	base := seat.base()
	return &ImportedAdapter{
		Folder: dir, Rank: p.Rank, Params: c.Params(), Round: state.Round + 1, Rounds: g.Policy.Rounds,
		Base: api.Model{Name: base.Name, Role: string(record.RoleEdge), Family: seat.family, CID: base.Blob.CID.String(), Params: base.Params, Bytes: base.Blob.Bytes, Stored: true},
	}, nil
}

// fitAdapter reads the LoRA of a folder as a component of the model that a federation's method makes of a base.
func fitAdapter(store *storage.Store, dir string, base record.Base, cfg method.Config, g *genesis) (adapter.Component, *adapter.PEFT, error) {
	var none adapter.Component
	p, err := readAdapterFolder(dir)
	if err != nil {
		return none, nil, err
	}
	b, err := loadBase(store, base)
	if err != nil {
		return none, nil, err
	}
	_, shapes := g.specs(modalityNames(g))
	initial, err := method.Initial(cfg, b, shapes)
	if err != nil {
		return none, nil, err
	}
	c, err := p.Fit(initial[loraName], cfg.Spec.Alpha)
	return c, p, err
}

func readAdapterFolder(dir string) (*adapter.PEFT, error) {
	config, err := os.Open(filepath.Join(dir, adapter.PEFTConfigFile))
	if err != nil {
		return nil, fmt.Errorf("read adapter: %w", err)
	}
	defer config.Close()
	weights, err := os.Open(filepath.Join(dir, adapter.PEFTModelFile))
	if err != nil {
		return nil, fmt.Errorf("read adapter: %w", err)
	}
	defer weights.Close()
	return adapter.ReadPEFT(config, weights, maxComponent)
}

// adapterFile holds the LoRA that the round after a given one begins with. Once that round is trained nobody looks at it any more.
func (h *Home) adapterFile(round uint64) string {
	return filepath.Join(h.path(modelsDir), fmt.Sprintf("adapter-after-%09d.safetensors", round))
}

// keepAdapter stores what the round after a given one begins with.
func (h *Home) keepAdapter(round uint64, c adapter.Component) error {
	if err := os.MkdirAll(h.path(modelsDir), 0o700); err != nil {
		return fmt.Errorf("keep the adapter: %w", err)
	}
	return writeFileFrom(h.adapterFile(round), func(w io.Writer) error { return adapter.Write(w, c) })
}

// givenAdapter is what keepAdapter stored, ok if there is any.
func (h *Home) givenAdapter(round uint64) (c adapter.Component, ok bool, err error) {
	raw, err := os.ReadFile(h.adapterFile(round))
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err == nil {
		c, err = adapter.Read(bytes.NewReader(raw), maxComponent)
	}
	if err != nil {
		return c, false, fmt.Errorf("read the adapter given for round %d: %w", round+1, err)
	}
	return c, true, nil
}
