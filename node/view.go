package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Source inspects home: the running node's API, or the store itself if none runs. close it.
func (h *Home) Source() (src api.Source, close func(), err error) {
	client, err := api.Dial(h.Dir)
	if err == nil {
		return client, client.Close, nil
	}
	if !errors.Is(err, api.ErrNotRunning) {
		return nil, nil, err
	}
	cfg, err := h.Config()
	if err != nil {
		return nil, nil, err
	}
	v := &view{home: h, cfg: cfg}
	store, err := storage.Open(h.Dir, storage.Options{ReadOnly: true})
	switch {
	case errors.Is(err, storage.ErrLocked):
		return nil, nil, api.Advise(err, "a node is starting or stopping on %s: ask again in a moment", h.Dir)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, storage.ErrNotFound):
		return v, func() {}, nil // a home that has never stored anything
	case err != nil:
		return nil, nil, fmt.Errorf("open store of %s: %w", h.Dir, err)
	}
	if err := v.open(store); err != nil {
		store.Close()
		return nil, nil, err
	}
	return v, func() { store.Close() }, nil
}

// view answers an api.Source from a home's store. A running node's source is a view with what only it knows added.
type view struct {
	home    *Home
	cfg     Config
	store   *storage.Store // nil: nothing stored
	recent  *ledger        // see recentLedger, a running node's has everything; nil: nothing stored
	full    *ledger        // nil: not read yet; see books
	member  *membership    // nil: in no federation
	genesis *genesis       // nil: in no federation
	seat    seat           // in the federation
}

// open reads what the store holds.
func (v *view) open(store *storage.Store) error {
	var err error
	if v.recent, err = recentLedger(store); err != nil {
		return err
	}
	v.store = store
	m, err := loadMembership(store)
	if errors.Is(err, errNoFederation) {
		return nil
	}
	if err != nil {
		return err
	}
	if v.genesis, err = loadGenesis(store, m.Federation); err != nil {
		return err
	}
	if v.seat, err = v.genesis.seatOf(m.Role, v.cfg); err != nil {
		return err
	}
	v.member = m
	return nil
}

// books reads all records, for those commands that reckon with more than recent has.
func (v *view) books() (_ *ledger, err error) {
	if v.full == nil {
		v.full, err = newLedger(v.store)
	}
	return v.full, err
}

// Status tells what is known of a node that does not run.
func (v *view) Status(context.Context) (*api.Status, error) {
	s, err := v.describe()
	if err != nil {
		return nil, err
	}
	s.Phase, s.DiskBytes = phaseStopped, storage.DirBytes(s.Home)
	if v.store != nil {
		var f facts
		if _, err := getJSON(v.store, keyFacts, &f); err != nil {
			return nil, err
		}
		f.show(s)
	}
	return s, nil
}

// describe is the part of the status that the home itself tells.
func (v *view) describe() (*api.Status, error) {
	id, err := v.home.PeerID()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(v.home.Dir)
	if err != nil {
		return nil, err
	}
	free, err := storage.FreeBytes(v.home.Dir)
	if err != nil {
		return nil, err
	}
	s := &api.Status{
		Version: Version, Name: v.cfg.Name, PeerID: id.String(), Home: dir, Role: v.cfg.Role,
		Addrs: []string{}, Modalities: []string{}, Protocols: []api.ProtocolBytes{}, Domain: v.cfg.Domain,
		DiskFree: free, DiskQuota: v.cfg.DiskQuota << 20,
	}
	if v.store != nil {
		s.Records = v.store.Count()
		if a := v.recent.newest(nil); a != nil {
			s.Round = a.body.Round
		}
		for _, n := range v.recent.disputed() {
			s.Disputed += n
		}
	}
	if v.genesis != nil {
		s.Role = string(v.member.Role)
		s.Federation, s.FedName, s.Rounds = v.genesis.id.String(), v.genesis.Name, v.genesis.policy(v.recent).Round.Rounds
		s.Policy = v.genesis.showPolicy(v.recent)
		base := v.seat.base()
		s.Family, s.Families = v.seat.family, len(v.genesis.Bases.Edge)
		s.Base, s.BaseCID = base.Name, base.Blob.CID.String()
		if s.Privacy, err = v.privacy(id); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// privacy is what this edge's newest delta says of all of them; nil where the federation does without.
func (v *view) privacy(self peer.ID) (*api.Privacy, error) {
	m := v.genesis.method
	if m.DPNoise == 0 || v.member.Role != record.RoleEdge {
		return nil, nil
	}
	p := &api.Privacy{Clip: m.DPClip, Noise: m.DPNoise, Delta: method.PrivacyDelta}
	d, err := v.lastDeltaOf(self)
	if d != nil {
		p.Epsilon = d.Metrics[method.MetricEpsilon]
	}
	return p, err
}

// show puts the facts into a status.
func (f facts) show(s *api.Status) {
	if f.Domain != "" {
		s.Domain = f.Domain
	}
	s.Modalities = nonNil(f.Modalities)
	s.ParamsTotal, s.ParamsTrainable = f.ParamsTotal, f.ParamsTrainable
	s.TrainRows, s.TestRows, s.PublicRows = f.TrainRows, f.TestRows, f.PublicRows
	s.Done = f.Learned && f.Compared
}

// nonNil makes a list that is [] in JSON.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Peers are the members known by certificate.
func (v *view) Peers(context.Context) ([]api.Peer, error) {
	list := []api.Peer{}
	if v.recent == nil {
		return list, nil
	}
	self, err := v.home.PeerID()
	if err != nil {
		return nil, err
	}
	disputed := v.recent.disputed()
	for _, c := range v.recent.allHolders() {
		if c.Subject != self {
			list = append(list, api.Peer{PeerID: c.Subject.String(), Name: c.Name, Role: string(c.Role), Expires: c.Expires, Disputed: disputed[c.Subject]})
		}
	}
	return list, nil
}

// Models are the federation's base models, the edges' first, in order of family.
func (v *view) Models(context.Context) ([]api.Model, error) {
	list := []api.Model{}
	if v.genesis == nil {
		return list, nil
	}
	for family, b := range v.genesis.Bases.Edge {
		m := v.model(record.RoleEdge, b)
		m.Family = family
		list = append(list, m)
	}
	list = append(list, v.model(record.RoleSuper, v.genesis.Bases.Super))
	for i, b := range append(slices.Clone(v.genesis.Bases.Edge), v.genesis.Bases.Super) {
		if m := &list[i]; m.Stored {
			base, err := loadBase(v.store, b)
			if err != nil {
				return nil, err
			}
			c := base.Config
			m.Architecture, m.Layers, m.Dim, m.Vocab = c.Family.String(), c.Layers, c.Dim, c.Vocab
		}
	}
	return list, nil
}

// model is a base as the genesis tells of it.
func (v *view) model(role record.Role, b record.Base) api.Model {
	return api.Model{Name: b.Name, Role: string(role), CID: b.Blob.CID.String(), Params: b.Params, Bytes: b.Blob.Bytes, Stored: v.store.HasBlob(b.Blob.CID)}
}

// Scores are what the learner stored.
func (v *view) Scores(context.Context) (*api.Scores, error) {
	s := &api.Scores{Standalone: []api.RoundScore{}, Together: []api.RoundScore{}}
	if v.store == nil {
		return s, nil
	}
	var f facts
	if _, err := getJSON(v.store, keyFacts, &f); err != nil {
		return nil, err
	}
	s.TestRows = f.TestRows
	var constant api.Score
	if ok, err := getJSON(v.store, keyConstant, &constant); err != nil {
		return nil, err
	} else if ok {
		s.Constant = &constant
	}
	var err error
	if s.Standalone, err = roundScores(v.store, keyStandalone); err != nil {
		return nil, err
	}
	s.Together, err = roundScores(v.store, keyTogether)
	return s, err
}

// finite replaces what JSON cannot say.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}
