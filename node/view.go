package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
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
	ledger  *ledger        // nil: nothing stored
	member  *membership    // nil: in no federation
	genesis *genesis       // nil: in no federation
	seat    seat           // in the federation
}

// open reads what the store holds.
func (v *view) open(store *storage.Store) error {
	l, err := newLedger(store)
	if err != nil {
		return err
	}
	v.store, v.ledger = store, l
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
	if v.ledger != nil {
		s.Records = v.ledger.count()
		if a := v.ledger.newest(nil); a != nil {
			s.Round = a.body.Round
		}
		for _, n := range v.ledger.disputed() {
			s.Disputed += n
		}
	}
	if v.genesis != nil {
		s.Role = string(v.member.Role)
		s.Federation, s.FedName, s.Rounds = v.genesis.id.String(), v.genesis.Name, v.genesis.policy(v.ledger).Round.Rounds
		s.Policy = v.genesis.showPolicy(v.ledger)
		base := v.seat.base()
		s.Family, s.Families = v.seat.family, len(v.genesis.Bases.Edge)
		s.Base, s.BaseCID = base.Name, base.Blob.CID.String()
		s.Privacy = v.privacy(id)
	}
	return s, nil
}

// privacy is what this edge's newest delta says of all of them; nil where the federation does without.
func (v *view) privacy(self peer.ID) *api.Privacy {
	m := v.genesis.method
	if m.DPNoise == 0 || v.member.Role != record.RoleEdge {
		return nil
	}
	p := &api.Privacy{Clip: m.DPClip, Noise: m.DPNoise, Delta: method.PrivacyDelta}
	if d := v.ledger.lastOf(self); d != nil {
		p.Epsilon = d.body.Metrics[method.MetricEpsilon]
	}
	return p
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
	if v.ledger == nil {
		return list, nil
	}
	self, err := v.home.PeerID()
	if err != nil {
		return nil, err
	}
	disputed := v.ledger.disputed()
	for _, c := range v.ledger.allHolders() {
		if c.Subject != self {
			list = append(list, api.Peer{PeerID: c.Subject.String(), Name: c.Name, Role: string(c.Role), Expires: c.Expires, Disputed: disputed[c.Subject]})
		}
	}
	return list, nil
}

// Rounds are the winning aggregates, oldest first.
func (v *view) Rounds(context.Context) ([]api.Round, error) {
	list := []api.Round{}
	if v.ledger == nil {
		return list, nil
	}
	var before int64
	for _, a := range v.ledger.rounds() {
		r := api.Round{
			Round: a.body.Round, Leader: a.Author.String(), Aggregate: a.cid.String(), Created: a.Created,
			Inputs: []api.Input{}, Metrics: a.body.Metrics, Disputes: len(v.ledger.disputesOf(a.cid)),
			SupervisionBytes: a.body.Supervision.Bytes,
		}
		var f finding
		if _, err := getJSON(v.store, keyFinding+a.cid.String(), &f); err != nil {
			return nil, err
		}
		r.Verdict = f.Verdict
		if before > 0 {
			r.Seconds = math.Max(0, float64(a.Created-before)/1000)
		}
		before = a.Created
		for _, in := range a.body.Inputs {
			r.Inputs = append(r.Inputs, api.Input{Delta: in.Delta.String(), Round: in.Round, Author: in.Author.String(), Modalities: nonNil(in.Modalities), Weight: in.Weight})
		}
		for _, c := range a.body.Components {
			r.Components = append(r.Components, v.component(c.Component))
		}
		if signed, err := v.store.Record(a.cid); err == nil {
			r.RecordBytes = int64(len(signed.Envelope))
		}
		list = append(list, r)
	}
	return list, nil
}

// Deltas in order of round, author and CID.
func (v *view) Deltas(ctx context.Context) ([]api.Delta, error) { return v.DeltasFrom(ctx, 0) }

// DeltasFrom are those of a round and after it, in the same order.
func (v *view) DeltasFrom(_ context.Context, round uint64) ([]api.Delta, error) {
	list := []api.Delta{}
	if v.ledger == nil {
		return list, nil
	}
	for _, d := range v.ledger.deltasFrom(round) {
		list = append(list, v.delta(d))
	}
	return list, nil
}

// Delta finds a delta by CID or unique prefix.
func (v *view) Delta(_ context.Context, id string) (*api.Delta, error) {
	d, err := v.findDelta(id)
	if err != nil {
		return nil, err
	}
	out := v.delta(d)
	return &out, nil
}

func (v *view) findDelta(id string) (*deltaEntry, error) {
	var all []*deltaEntry
	if v.ledger != nil {
		all = v.ledger.allDeltas()
	}
	return pick("delta", "deltas", all, func(d *deltaEntry) cid.Cid { return d.cid }, id)
}

func (v *view) findAggregate(id string) (*aggregateEntry, error) {
	var all []*aggregateEntry
	if v.ledger != nil {
		all = v.ledger.allAggregates()
	}
	return pick("aggregate", "rounds --json", all, func(a *aggregateEntry) cid.Cid { return a.cid }, id)
}

// pick finds the one of all whose CID begins with prefix. command lists them.
func pick[T any](what, command string, all []T, id func(T) cid.Cid, prefix string) (found T, err error) {
	n := 0
	for _, x := range all {
		if prefix != "" && strings.HasPrefix(id(x).String(), prefix) {
			found = x
			n++
		}
	}
	switch n {
	case 0:
		return found, api.Advise(fmt.Errorf("%s %q: %w", what, prefix, api.ErrNotFound), "list them with `mlecs %s`", command)
	case 1:
		return found, nil
	}
	return found, api.Advise(fmt.Errorf("%s %q: %w: %d begin so", what, prefix, api.ErrAmbiguous, n), "give more characters")
}

// delta is an entry as the API shows it.
func (v *view) delta(d *deltaEntry) api.Delta {
	out := api.Delta{
		CID: d.cid.String(), Round: d.body.Round, Author: d.Author.String(), AuthorName: v.name(d.Author), Seq: d.Seq, Created: d.Created,
		Base: d.body.Base.String(), Parents: []string{}, Modalities: nonNil(d.body.Modalities), Rows: d.body.Rows, PublicRows: d.body.Public,
		Components: []api.Component{}, Metrics: d.body.Metrics,
	}
	if r, err := v.store.Record(d.cid); err == nil {
		out.RecordBytes = int64(len(r.Envelope))
	}
	for _, p := range d.Parents {
		out.Parents = append(out.Parents, p.String())
	}
	for _, c := range d.body.Components {
		out.Components = append(out.Components, v.component(c))
		out.Bytes += c.Blob.Bytes
		out.Params += c.Params
	}
	return out
}

func (v *view) component(c record.Component) api.Component {
	return api.Component{
		Name: c.Name, Signature: c.Signature, Codec: c.Codec, Params: c.Params, CID: c.Blob.CID.String(), Bytes: c.Blob.Bytes,
		Stored: v.store.HasBlob(c.Blob.CID),
	}
}

func (v *view) name(p peer.ID) string {
	c, _ := v.ledger.holder(p)
	return c.Name
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
