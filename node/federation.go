package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// FederationSpec is what `mlecs federation create` takes.
type FederationSpec struct {
	Name      string
	Data      string        // data set folder; its rows with split train (or the given ids) become the public set
	PublicIDs []string      // nil: all training rows
	Target    string        // field of the rows to generate; empty: "target"
	EdgeBases []string      // base model files (mlecs model train or import), one a family; those missing are pretrained here on the public targets
	SuperBase string        // likewise
	Adapter   string        // folder of a PEFT LoRA for the first family, which round 0 hands out; empty: none
	Method    method.Config // its families: those beyond the first; more EdgeBases than families make more families
	Share     []string      // component kinds that leave a node: lora, encoder, connector
	Policy    record.RoundPolicy
	Progress  func(stage string, done, total int64) // may be nil
}

// founderYears is how long the creating node's own certificate lasts.
const founderYears = 10

func (s *FederationSpec) validate() error {
	if err := checkName("federation name", s.Name, false); err != nil {
		return err
	}
	if s.Data == "" {
		return api.Advise(errors.New("no data set for the public rows"), "give a folder with metadata.jsonl")
	}
	if err := s.Method.Validate(); err != nil {
		return fmt.Errorf("method: %w", err)
	}
	if len(s.Share) == 0 {
		return api.Advise(errors.New("nothing is shared"), "share at least lora")
	}
	for i, kind := range s.Share {
		if !slices.Contains([]string{"lora", "encoder", "connector"}, kind) || slices.Contains(s.Share[:i], kind) {
			return api.Advise(fmt.Errorf("share: %q is no kind of component, or is there twice", kind), "use some of lora, encoder, connector")
		}
	}
	if p := s.Policy; !(p.Quorum >= 0 && p.Quorum <= 1) || p.Deadline <= 0 {
		return fmt.Errorf("round policy: quorum %v must be within 0 and 1, and the deadline %d ms above 0", p.Quorum, p.Deadline)
	}
	return nil
}

// CreateFederation makes the founder key, packs the public data, stores the base models, signs the genesis, and certifies this node
// as super-peer. It returns the federation id (the genesis CID). The founder key stays in this home; whoever holds it admits members.
func (h *Home) CreateFederation(ctx context.Context, s FederationSpec) (id string, err error) {
	s.Method = withFamilies(s.Method, len(s.EdgeBases))
	if err := s.validate(); err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	cfg, err := h.Config()
	if err != nil {
		return "", err
	}
	if cfg.Role != "" && cfg.Role != string(record.RoleSuper) {
		return "", api.Advise(fmt.Errorf("create federation: this node's role is %s, and the creating node is its first super-peer", cfg.Role), "set role: super in %s", h.path(configFile))
	}
	if s.Progress == nil {
		s.Progress = func(string, int64, int64) {}
	}
	store, err := openStore(h.Dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if m, err := loadMembership(store); err == nil {
		return "", api.Advise(fmt.Errorf("create federation: this home is a member of federation %s", m.Federation), "use another home")
	} else if !errors.Is(err, errNoFederation) {
		return "", err
	}

	// All that can go wrong comes before the key and the genesis: a failed attempt can be repeated.
	set, rows, err := publicRows(s)
	if err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	ds, err := packPublic(ctx, h, store, set, rows, s.Method.PublicLabels, s.Progress)
	if err != nil {
		return "", fmt.Errorf("create federation: pack public rows: %w", err)
	}
	var bases record.Bases
	bases, s.Method, err = makeBases(ctx, store, rows, s)
	if err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	var lora adapter.Component
	if s.Adapter != "" {
		before := &genesis{Federation: &record.Federation{Data: ds}}
		if lora, _, err = fitAdapter(store, s.Adapter, bases.Edge[0], s.Method.Of(0), before); err != nil {
			return "", fmt.Errorf("create federation: adapter %s: %w", s.Adapter, err)
		}
	}
	config, err := record.Encode(s.Method)
	if err != nil {
		return "", fmt.Errorf("create federation: encode method: %w", err)
	}
	founder, err := h.founderKey()
	if err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	founderID, err := peer.IDFromPrivateKey(founder)
	if err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	body := &record.Federation{
		Name: s.Name, Founder: founderID, Data: ds, Bases: bases, Policy: s.Policy, Share: s.Share,
		Method: record.Method{Name: methodName, Config: config},
	}
	genesis, err := signGenesis(store, founder, founderID, body)
	if err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	g, err := loadGenesis(store, genesis.CID.String())
	if err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	self, err := h.PeerID()
	if err != nil {
		return "", err
	}
	cert, err := p2p.Certify(store, founder, g.id, self, cfg.Name, record.RoleSuper, time.Now().AddDate(founderYears, 0, 0))
	if err != nil {
		return "", fmt.Errorf("create federation: certify this node: %w", err)
	}
	p := provision{seat: seat{genesis: g, role: record.RoleSuper}, home: h, store: store, modalities: modalityNames(g), progress: s.Progress}
	if err := p.run(ctx); err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	if s.Adapter != "" {
		if err := h.keepAdapter(0, lora); err != nil {
			return "", fmt.Errorf("create federation: %w", err)
		}
	}
	if err := saveMembership(store, g.id, record.RoleSuper, []*record.Signed{cert}, nil); err != nil {
		return "", fmt.Errorf("create federation: %w", err)
	}
	return g.id.String(), nil
}

// founderKey makes the founder key, or takes the one that an attempt before left behind.
func (h *Home) founderKey() (crypto.PrivKey, error) {
	key, err := ReadKey(h.path(founderFile))
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(h.path(founderFile))
	}
	return key, err
}

func signGenesis(store *storage.Store, founder crypto.PrivKey, id peer.ID, body *record.Federation) (*record.Signed, error) {
	kind, b, err := record.NewBody(body)
	if err != nil {
		return nil, err
	}
	seq, err := store.NextSeq(id)
	if err != nil {
		return nil, err
	}
	r, err := record.Sign(founder, record.Record{Version: record.Version, Kind: kind, Seq: seq, Created: now().UnixMilli(), Body: b})
	if err != nil {
		return nil, fmt.Errorf("sign genesis: %w", err)
	}
	if _, err := store.PutRecord(r); err != nil {
		return nil, fmt.Errorf("store genesis: %w", err)
	}
	return r, nil
}

// openStore opens a home's store for writing.
func openStore(dir string) (*storage.Store, error) {
	s, err := storage.Open(dir, storage.Options{})
	if errors.Is(err, storage.ErrLocked) {
		return nil, api.Advise(err, "stop the node that runs on %s, or ask it with `mlecs status --home %s`", dir, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open store of %s: %w", dir, err)
	}
	return s, nil
}

// publicRows opens the data set and chooses the rows that become public.
func publicRows(s FederationSpec) (*data.Set, []data.Row, error) {
	dir, ids := s.Data, s.PublicIDs
	set, err := data.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	if set, err = set.WithTarget(s.Target); err != nil {
		return nil, nil, err
	}
	var rows []data.Row
	if ids == nil {
		rows = rowsOf(set, train)
	} else {
		byID := make(map[string]data.Row, len(set.Rows))
		for _, r := range set.Rows {
			byID[r.ID] = r
		}
		for _, id := range ids {
			r, ok := byID[id]
			if !ok {
				return nil, nil, fmt.Errorf("data set %s has no row %q", dir, id)
			}
			delete(byID, id) // a second mention is an error, too
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil, nil, api.Advise(fmt.Errorf("data set %s has no training rows to make public", dir), "mark rows with \"split\": \"train\"")
	}
	if len(set.Modalities()) == 0 {
		return nil, nil, fmt.Errorf("data set %s has no modality: no field ends in _file_name", dir)
	}
	return set, rows, requireTargets(set, rows)
}
