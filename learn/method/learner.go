package method

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// learner is one model with what it takes to train and to question it.
type learner struct {
	cfg        Config
	base       *model.Base
	modalities []model.Modality // in name order
	model      *model.Model
	beside     []*model.Model // that answer together with model: a super-peer's small ones
	stream     string
}

// newLearner builds the model. Its weights come from the federation's seed and not from the stream: components that will be averaged
// must start equal.
func newLearner(cfg Config, base *model.Base, modalities []model.Modality, stream string) (*learner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(modalities) == 0 {
		return nil, errors.New("a learner needs at least one modality")
	}
	modalities = slices.SortedFunc(slices.Values(modalities), func(a, b model.Modality) int { return strings.Compare(a.Name, b.Name) })
	for i, m := range modalities[1:] {
		if m.Name == modalities[i].Name {
			return nil, fmt.Errorf("modality %q is given twice", m.Name)
		}
	}
	m, err := model.New(base, cfg.spec(modalities), cfg.Seed)
	if err != nil {
		return nil, fmt.Errorf("building the model of %s: %w", stream, err)
	}
	return &learner{cfg: cfg, base: base, modalities: modalities, model: m, stream: stream}, nil
}

// names of the modalities, sorted.
func (l *learner) names() []string {
	names := make([]string, len(l.modalities))
	for i, m := range l.modalities {
		names[i] = m.Name
	}
	return names
}

// stage is a number of optimiser steps of one kind within a round.
type stage struct {
	name  string // seeds batches and dropout, with stream and round
	round uint64
	steps int
	rows  []row
	batch func(rows []row) model.Batch
	goal  model.Objective
	shown func(done int, loss float64)
}

// train runs s and returns the mean loss of its steps. A loss that is not finite ends it: the weights are spoilt.
func (l *learner) train(ctx context.Context, s stage) (mean model.Loss, err error) {
	if len(s.rows) == 0 || s.steps == 0 {
		return mean, nil
	}
	name := fmt.Sprintf("%s/%s/%d", l.stream, s.name, s.round)
	deal := newSampler(len(s.rows), l.cfg.Batch, l.cfg.Seed, name)
	for step := range s.steps {
		if err := ctx.Err(); err != nil {
			return mean, fmt.Errorf("%s of round %d, step %d: %w", s.name, s.round, step, err)
		}
		loss, err := l.model.Step(s.batch(pick(s.rows, deal.at(step))), s.goal, deriveSeed(l.cfg.Seed, name, "dropout", step))
		if err != nil {
			return mean, fmt.Errorf("%s of round %d, step %d: %w", s.name, s.round, step, err)
		}
		if math.IsNaN(loss.Total) || math.IsInf(loss.Total, 0) {
			return mean, fmt.Errorf("%s of round %d, step %d: the loss is %v; a smaller lr may help", s.name, s.round, step, loss.Total)
		}
		n := float64(s.steps)
		mean.Total += loss.Total / n
		mean.LM += loss.LM / n
		mean.Soft += loss.Soft / n
		mean.Contrast += loss.Contrast / n
		if s.shown != nil {
			s.shown(step+1, loss.Total)
		}
	}
	return mean, nil
}

// adaptBy trains, and then goes back AdaptKeep of the way, in a straight line between the weights: there lie models that still know what others
// taught and know already what is particular to the node, and that are better than either end (WiSE-FT, arXiv 2109.01903).
func (l *learner) adaptBy(train func() error) error {
	before := l.model.Components()
	if err := train(); err != nil {
		return err
	}
	for i, after := range l.model.Components() {
		c, err := adapter.WeightedMean([]adapter.Component{before[i], after}, []float64{l.cfg.AdaptKeep, 1 - l.cfg.AdaptKeep})
		if err == nil {
			err = l.model.SetComponent(c)
		}
		if err != nil {
			return fmt.Errorf("adapting: %w", err)
		}
	}
	return nil
}

// show makes a stage report to p as steps offset+1 to offset+steps of total of the work called name.
func show(p Progress, name string, offset, total int) func(done int, loss float64) {
	if p == nil {
		return nil
	}
	return func(done int, loss float64) { p(name, offset+done, total, loss) }
}

// eachChunk calls f for consecutive chunks of rows that all have one size, because a graph has one shape: the last one is filled up with
// copies of its first row. fresh tells how many rows of the chunk count.
func (l *learner) eachChunk(ctx context.Context, rows []row, f func(chunk []row, fresh int) error) error {
	size := min(len(rows), l.cfg.Batch)
	for len(rows) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		fresh := min(size, len(rows))
		chunk := slices.Clone(rows[:fresh])
		for len(chunk) < size {
			chunk = append(chunk, rows[0])
		}
		if err := f(chunk, fresh); err != nil {
			return err
		}
		rows = rows[fresh:]
	}
	return nil
}

// answers decodes rows greedily, together with the models beside.
func (l *learner) answers(ctx context.Context, rows []row) ([]string, error) {
	out := make([]string, 0, len(rows))
	err := l.eachChunk(ctx, rows, func(chunk []row, fresh int) error {
		answers, err := model.Ensemble(slices.Concat([]*model.Model{l.model}, l.beside), inputs(l.modalities, chunk), l.cfg.MaxTokens, 0)
		if err != nil {
			return err
		}
		for _, a := range answers[:fresh] {
			out = append(out, l.base.Tokenizer.Decode(a.IDs))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("answering: %w", err)
	}
	return out, nil
}

// teach gives what this model alone knows of rows: fused representations and soft targets.
func (l *learner) teach(ctx context.Context, rows []row) (*Supervision, error) {
	s := &Supervision{}
	err := l.eachChunk(ctx, rows, func(chunk []row, fresh int) error {
		b := inputs(l.modalities, chunk)
		fused, err := l.model.Fuse(b)
		if err != nil {
			return err
		}
		soft, err := l.model.Answer(b, l.cfg.MaxTokens, l.cfg.SoftK)
		if err != nil {
			return err
		}
		for i, r := range chunk[:fresh] {
			s.IDs = append(s.IDs, r.id)
			s.Fused = append(s.Fused, fused[i])
			s.Soft = append(s.Soft, soft[i])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("teaching: %w", err)
	}
	return s, nil
}

// adopt replaces the model's components by those of equal name and signature and names them. It changes nothing if one
// of them claims a signature that its tensors do not have.
func (l *learner) adopt(components []adapter.Component) (adopted []string, err error) {
	own := map[string]adapter.Component{}
	for _, c := range l.model.Components() {
		own[c.Name] = c
	}
	var fitting []adapter.Component
	for _, c := range components {
		if c.Signature != own[c.Name].Signature {
			continue
		}
		if err := adapter.SameStructure(own[c.Name], c); err != nil {
			return nil, err
		}
		fitting = append(fitting, c)
	}
	for _, c := range fitting {
		if err := l.model.SetComponent(c); err != nil {
			return nil, err
		}
		adopted = append(adopted, c.Name)
	}
	return adopted, nil
}

// Has tells whether the model has a component of this name and signature.
func (l *learner) Has(name, signature string) bool {
	return slices.ContainsFunc(l.model.Components(), func(c adapter.Component) bool { return c.Name == name && c.Signature == signature })
}

// anchorWidth is the width that the contrastive loss needs anchors of. Cosines of the model's own vectors and the anchor, and Gram volumes,
// need one width; comparing cosines among the anchors with cosines among the model's vectors takes any (0).
func (l *learner) anchorWidth() int {
	if l.cfg.Contrast != model.ContrastSimilarity {
		return l.cfg.Spec.Fused
	}
	return 0
}

// shared are the model's components of the kinds in share, in name order.
func (l *learner) shared(share []string) []adapter.Component {
	var out []adapter.Component
	for _, c := range l.model.Components() {
		if slices.Contains(share, adapter.Kind(c.Name)) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b adapter.Component) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// checkShare refuses a share policy with kinds that no component has.
func checkShare(share []string) error {
	for _, kind := range share {
		if !slices.Contains(DefaultShare(), kind) {
			return fmt.Errorf("share policy: %q is none of %v", kind, DefaultShare())
		}
	}
	return nil
}
