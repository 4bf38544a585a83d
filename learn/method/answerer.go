package method

import (
	"context"
	"io"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Answerer is a learner's model without its rows, or a super-peer's models: it answers and learns nothing. Made from the same arguments as
// a learner it answers as that learner did before it learned anything; ReadEdge or ReadCloud, and Absorb, bring it to where the learner is.
type Answerer struct{ learner }

// NewAnswerer makes the model of an edge, of its family's config and base and of its modalities.
func NewAnswerer(cfg Config, base *model.Base, modalities []model.Modality) (*Answerer, error) {
	l, err := newLearner(cfg, base, modalities, "answers")
	if err != nil {
		return nil, err
	}
	return &Answerer{*l}, nil
}

// NewCloudAnswerer makes the models of a super-peer, of the federation's config and bases, as NewCloud takes them, and of all modalities.
func NewCloudAnswerer(cfg Config, large *model.Base, small []*model.Base, modalities []model.Modality) (*Answerer, error) {
	l, _, err := newTier(cfg, large, small, modalities, "answers")
	if err != nil {
		return nil, err
	}
	return &Answerer{*l}, nil
}

// ReadEdge takes over the model of a state that Edge.WriteState wrote. After an error the answerer is of no use.
func (a *Answerer) ReadEdge(r io.Reader) error {
	return a.read(r, "edge", soleModel(a.model))
}

// ReadCloud takes over the models of a state that Cloud.WriteState wrote. After an error the answerer is of no use.
func (a *Answerer) ReadCloud(r io.Reader) error {
	return a.read(r, "cloud", cloudModels(a.model, a.beside))
}

func (a *Answerer) read(r io.Reader, kind string, models []savedModel) error {
	s, err := readState(r, kind, models)
	if err != nil {
		return err
	}
	return s.load()
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
