package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// States of the model that answers.
const (
	stateUntrained = "untrained"
	stateTrained   = "trained"
	stateAbsorbed  = "absorbed"
	stateAdapted   = "adapted"
)

// current is a node's model as its stored state has it, apart from the learner's own. A super-peer's is the large one with the small ones
// beside it.
type current struct {
	*method.Answerer
	about  api.CurrentModel
	decode []data.Modality
}

// currentModel loads the node's model where the learner is with it.
func (v *view) currentModel() (*current, error) {
	m, err := v.untrainedModel()
	if err != nil {
		return nil, err
	}
	if v.member.Role == record.RoleSuper {
		err = v.loadCloud(m)
	} else {
		err = v.loadEdge(m)
	}
	if err != nil {
		return nil, fmt.Errorf("load the node's model: %w", err)
	}
	return m, nil
}

// untrainedModel makes the node's model as it was before it learned anything: its base with fresh components.
func (v *view) untrainedModel() (*current, error) {
	if v.genesis == nil {
		return nil, api.Advise(fmt.Errorf("%w: this node has no model", errNoFederation), "create one with `mlecs federation create`, or join one with `mlecs join TOKEN`")
	}
	names := modalityNames(v.genesis)
	if v.member.Role == record.RoleEdge {
		var f facts
		if _, err := getJSON(v.store, keyFacts, &f); err != nil {
			return nil, err
		}
		if names = f.Modalities; len(names) == 0 {
			return nil, api.Advise(errors.New("this node has no model yet"), "start it with: mlecs start --home %s", v.home.Dir)
		}
	}
	decode, shapes := v.genesis.specs(names)
	a, err := v.newAnswerer(shapes)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errPruned(err)
	}
	if err != nil {
		return nil, fmt.Errorf("build the node's model: %w", err)
	}
	about := api.CurrentModel{Base: v.seat.base().Name, Role: string(v.member.Role), State: stateUntrained, Modalities: nonNil(names)}
	return &current{Answerer: a, about: about, decode: decode}, nil
}

func (v *view) newAnswerer(shapes []model.Modality) (*method.Answerer, error) {
	if v.member.Role == record.RoleSuper {
		large, small, err := v.cfg.loadTier(v.store, v.genesis)
		if err != nil {
			return nil, err
		}
		return method.NewCloudAnswerer(v.seat.config(), large, small, shapes)
	}
	base, err := v.cfg.loadBase(v.store, v.seat.base())
	if err != nil {
		return nil, err
	}
	return method.NewAnswerer(v.seat.config(), base, shapes)
}

// loadEdge brings m to the edge's last stored state and, where an aggregate has closed its round since, on to that aggregate, and to an
// adapter that was imported since.
func (v *view) loadEdge(m *current) error {
	state, err := v.readEdge(m)
	if err != nil {
		return err
	}
	if err := v.loadAggregated(m, state); err != nil {
		return err
	}
	given, ok, err := v.home.givenAdapter(state.Round)
	if err != nil || !ok {
		return err
	}
	return m.Absorb([]adapter.Component{given})
}

func (v *view) loadAggregated(m *current, state edgeState) error {
	if state.File != "" {
		m.about.Round, m.about.State = state.Round, stateTrained
		if state.Last != "" {
			m.about.State = stateAdapted
			return nil // after the last round
		}
	}
	a := v.recent.newest(nil)
	if a == nil || a.body.Round < state.Round {
		return nil
	}
	var parts []adapter.Component
	for _, c := range a.body.Components {
		if !m.Has(c.Name, c.Signature) {
			continue
		}
		part, err := readComponent(v.store, c.Component, adapter.Component{})
		if errors.Is(err, storage.ErrNotFound) {
			return nil // the edge has not fetched it either
		}
		if err != nil {
			return fmt.Errorf("aggregate %s of round %d: %w", a.cid, a.body.Round, err)
		}
		parts = append(parts, part)
	}
	if err := m.Absorb(parts); err != nil {
		return fmt.Errorf("absorb aggregate %s of round %d: %w", a.cid, a.body.Round, err)
	}
	m.about.Round, m.about.State = a.body.Round, stateAbsorbed
	return nil
}

// readTries is how often a state's file may be replaced by the next while it is looked up.
const readTries = 3

// readEdge reads the edge's stored state into m.
func (v *view) readEdge(m *current) (state edgeState, err error) {
	for range readTries {
		if ok, err := getJSON(v.store, keyEdge, &state); err != nil || !ok || state.File == "" {
			return state, err
		}
		path := filepath.Join(v.home.path(modelsDir), filepath.Base(state.File))
		var f *os.File
		if f, err = os.Open(path); errors.Is(err, fs.ErrNotExist) {
			err = errPruned(err)
			continue
		} else if err != nil {
			return state, err
		}
		defer f.Close()
		if err := m.ReadEdge(f); err != nil {
			return state, fmt.Errorf("%s: %w", state.File, err)
		}
		return state, nil
	}
	return state, err
}

// loadCloud brings m to the newest checkpoint that is here.
func (v *view) loadCloud(m *current) error {
	if v.recent.newest(nil) == nil {
		return nil
	}
	books, err := v.books()
	if err != nil {
		return err
	}
	a := books.newest(func(c cid.Cid) bool { return !v.holdsCheckpoint(c) })
	if a == nil {
		return errPruned(errors.New("no checkpoint is stored here"))
	}
	r, size, err := v.store.OpenBlob(a.body.Checkpoint.CID)
	if err != nil {
		return fmt.Errorf("checkpoint of round %d: %w", a.body.Round, err)
	}
	defer r.Close()
	if err := m.ReadCloud(io.LimitReader(r, size)); err != nil {
		return fmt.Errorf("checkpoint of round %d: %w", a.body.Round, err)
	}
	m.about.Round, m.about.State = a.body.Round, stateAbsorbed
	return nil
}

// holdsCheckpoint tells whether an aggregate's checkpoint is stored here.
func (v *view) holdsCheckpoint(aggregate cid.Cid) bool {
	r, err := v.store.Record(aggregate)
	if err != nil {
		return false
	}
	body, err := record.BodyAs[record.Aggregate](r)
	return err == nil && body.Checkpoint.CID.Defined() && v.store.HasBlob(body.Checkpoint.CID)
}

// errPruned tells that what a model is made of is not here.
func errPruned(cause error) error {
	return api.Advise(fmt.Errorf("the learner's state is not in this home: %w", cause),
		"a testnet deletes it when it ends: run it again with `mlecs testnet run --keep`; any other node must first be started")
}
