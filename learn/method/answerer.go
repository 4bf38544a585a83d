package method

import (
	"context"
	"fmt"
	"io"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Answerer is a learner's model without its rows: it answers and learns nothing. Made from the same arguments as a learner's model it
// answers as that learner did before it learned anything; ReadEdge or ReadCloud, and Absorb, bring it to where the learner is.
type Answerer struct{ learner }

// NewAnswerer makes the model of an edge (its family's config and base, its modalities), or of a super-peer (the federation's config, the
// large base, all modalities).
func NewAnswerer(cfg Config, base *model.Base, modalities []model.Modality) (*Answerer, error) {
	l, err := newLearner(cfg, base, modalities, "answers")
	if err != nil {
		return nil, err
	}
	return &Answerer{*l}, nil
}

// ReadEdge takes over the model of a state that Edge.WriteState wrote. After an error the answerer is of no use.
func (a *Answerer) ReadEdge(r io.Reader) error { return a.read(r, "edge", "model", "model") }

// ReadCloud takes over the large model of a state that Cloud.WriteState wrote. After an error the answerer is of no use.
func (a *Answerer) ReadCloud(r io.Reader) error {
	return a.read(r, "cloud", largeName, cloudModels(a.cfg)...)
}

func (a *Answerer) read(r io.Reader, kind, name string, names ...string) error {
	s, err := readState(r, kind, names...)
	if err != nil {
		return err
	}
	if err := a.model.ReadState(s.models[name]); err != nil {
		return fmt.Errorf("reading the state of the %s learner: %w", kind, err)
	}
	return nil
}

// Absorb replaces components by those of equal name and signature, as Edge.Absorb does with an aggregate's. On an error nothing has changed.
func (a *Answerer) Absorb(components []adapter.Component) error {
	_, err := a.adopt(components)
	return err
}

// Answer decodes greedily; targets are not looked at. A cancelled ctx ends it between two batches.
func (a *Answerer) Answer(ctx context.Context, rows []Example) ([]string, error) {
	return a.answer(ctx, rows)
}
