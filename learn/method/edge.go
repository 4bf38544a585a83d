package method

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Edge is one edge's learner.
type Edge struct {
	learner
	private []row
	public  []row
	share   []string
	early   bool // the delta is what CCL leaves, as in the paper, and not what AMT does
	outbox  *outbox
	secret  bool                         // noise that protects what is sent comes from the system's randomness
	start   *adapter.Component           // what the next round begins with in place of the component of this name; nil: nothing
	origin  map[string]adapter.Component // after Merge: what the next delta's differences are to, in place of what the round begins with
	lessons *lessons                     // nil before the first aggregate
	taught  []row                        // the public rows that lessons speak of
}

// NewEdge makes an edge with its own modalities. Private rows have targets. Public rows must have them if the federation's PublicLabels is
// LabelsEdges, and none otherwise: then all that an edge knows of them comes from the super-peers' supervision. share names the kinds of components that leave the node and that aggregates may replace. stream
// names the node for seeding.
func NewEdge(cfg Config, base *model.Base, modalities []model.Modality, private, public []Example, share []string, stream string) (*Edge, error) {
	if err := checkShare(share); err != nil {
		return nil, err
	}
	l, err := newLearner(cfg, base, modalities, stream)
	if err != nil {
		return nil, err
	}
	e := &Edge{learner: *l, share: slices.Clone(share)}
	if e.outbox, err = newOutbox(cfg.Codec, e.shared(e.share)); err != nil {
		return nil, err
	}
	if e.private, err = prepare(cfg, base, l.modalities, private); err != nil {
		return nil, fmt.Errorf("private rows of %s: %w", stream, err)
	}
	if err := needTargets(e.private); err != nil {
		return nil, fmt.Errorf("private rows of %s: %w", stream, err)
	}
	if len(e.private) == 0 {
		return nil, fmt.Errorf("edge %s has no private rows to learn from", stream)
	}
	if e.public, err = prepare(cfg, base, l.modalities, public); err != nil {
		return nil, fmt.Errorf("public rows of %s: %w", stream, err)
	}
	if cfg.PublicLabels == LabelsEdges {
		if err := needTargets(e.public); err != nil {
			return nil, fmt.Errorf("public rows of %s: %w; this federation's edges see the targets of public rows", stream, err)
		}
	}
	for i, r := range e.public {
		if cfg.PublicLabels != LabelsEdges && r.target != nil {
			return nil, fmt.Errorf("public row %q has a target; edges get public rows without", public[i].ID)
		}
	}
	if err := needUniqueIDs(e.public); err != nil {
		return nil, fmt.Errorf("public rows of %s: %w", stream, err)
	}
	return e, nil
}

// Absorb replaces own components of shared kinds by the aggregate's of equal name and signature and keeps its supervision; components
// of another structure stay as they are. On an error nothing has changed.
func (e *Edge) Absorb(a *Aggregate) error {
	if a.Supervision != nil {
		if err := e.checkSupervision(a.Supervision); err != nil {
			return fmt.Errorf("absorbing the aggregate of round %d: %w", a.Round, err)
		}
	}
	var components []adapter.Component
	for _, c := range a.Components {
		if slices.Contains(e.share, adapter.Kind(c.Component.Name)) {
			components = append(components, c.Component)
		}
	}
	adopted, err := e.adopt(components)
	if err != nil {
		return fmt.Errorf("absorbing the aggregate of round %d: %w", a.Round, err)
	}
	e.origin = nil
	e.outbox.absorbed(adopted)
	if a.Supervision != nil {
		e.supervise(a.Supervision)
	}
	return nil
}

// maxAnchor bounds the width of supervision's fused representations, as a model's own is bounded.
const maxAnchor = 1 << 14

// checkSupervision refuses supervision of another vocabulary than this model's. Its fused representations may have another width: the
// super-peers' structure is not that of every family.
func (e *Edge) checkSupervision(s *Supervision) error {
	width, _, err := s.check()
	if err != nil {
		return err
	}
	if len(s.IDs) > 0 && (width < 1 || width > maxAnchor) {
		return fmt.Errorf("fused representations have %d values; they must have 1 to %d", width, maxAnchor)
	}
	room := e.base.Config.Positions - e.cfg.Spec.Prompt
	for i, soft := range s.Soft {
		if len(soft.IDs) > min(room, e.cfg.MaxTokens) {
			return fmt.Errorf("row %q: an answer of %d tokens; max_tokens is %d", s.IDs[i], len(soft.IDs), e.cfg.MaxTokens)
		}
		for t, id := range soft.IDs {
			if top := slices.Max(append([]int{id}, soft.TopIDs[t]...)); top >= e.base.Tokenizer.Size() {
				return fmt.Errorf("row %q: token id %d is not in the vocabulary of %d; small and large base need one tokenizer", s.IDs[i], top, e.base.Tokenizer.Size())
			}
		}
	}
	return nil
}

// supervise keeps s and finds the public rows it speaks of.
func (e *Edge) supervise(s *Supervision) {
	e.lessons = learnFrom(s)
	e.taught = e.lessons.known(e.public)
}

// Round runs CCL on public rows (if there is supervision) and AMT on private rows, and yields the delta. After an error the edge is in
// the middle of a round; ReadState brings it back to the start.
func (e *Edge) Round(ctx context.Context, round uint64, p Progress) (*Delta, error) {
	started := e.shared(e.share)
	for i, c := range started {
		if o, ok := e.origin[c.Name]; ok {
			started[i] = o
		}
	}
	e.origin = nil
	if e.start != nil {
		if err := e.model.SetComponent(*e.start); err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
		e.start = nil
	}
	public, err := e.align(ctx, publicStage, round, e.cfg.CCLSteps, p)
	if err != nil {
		return nil, err
	}
	learned := e.shared(e.share)
	private, err := e.tune(ctx, labelledStage, round, e.cfg.AMTSteps, p)
	if err != nil {
		return nil, err
	}
	if !e.early {
		learned = e.shared(e.share)
	}
	d := &Delta{
		Round: round, Modalities: e.names(), Rows: len(e.private), Public: len(e.taught),
		Metrics: map[string]float64{"amt_lm": private.LM},
	}
	if learned, err = e.protect(round, started, learned); err != nil {
		return nil, fmt.Errorf("delta of round %d: %w", round, err)
	}
	if d.Components, d.Blobs, err = e.outbox.send(started, learned); err != nil {
		return nil, fmt.Errorf("delta of round %d: %w", round, err)
	}
	if len(e.taught) > 0 {
		d.Metrics["ccl_soft"], d.Metrics["ccl_contrast"] = public.Soft, public.Contrast
	}
	e.tell(d)
	return d, nil
}

// align is CCL: training on public rows towards what the super-peer knows of them, and towards their targets if the edge sees them.
func (e *Edge) align(ctx context.Context, name string, round uint64, steps int, p Progress) (model.Loss, error) {
	goal := e.cfg.objective()
	goal.Soft, goal.Contrast = e.cfg.SoftWeight, e.cfg.Lambda
	if e.cfg.PublicLabels == LabelsEdges {
		goal.LM = 1
	}
	return e.train(ctx, stage{
		name: name, round: round, steps: steps, rows: e.taught, batch: e.anchored, goal: goal,
		shown: show(p, "ccl", 0, steps),
	})
}

// StartFrom makes the next Round begin with c in place of the component of its name, so that the round's delta carries c to the others. An
// error wraps adapter.ErrStructure.
func (e *Edge) StartFrom(c adapter.Component) error {
	for _, own := range e.model.Components() {
		if own.Name == c.Name {
			if err := adapter.SameStructure(own, c); err != nil {
				return err
			}
			e.start = &c
			return nil
		}
	}
	return fmt.Errorf("the model has no component %q: %w", c.Name, adapter.ErrStructure)
}

// tune is AMT: training on private rows.
func (e *Edge) tune(ctx context.Context, name string, round uint64, steps int, p Progress) (model.Loss, error) {
	goal := e.cfg.objective()
	goal.LM = 1
	return e.train(ctx, stage{
		name: name, round: round, steps: steps, rows: e.private,
		batch: func(rows []row) model.Batch { return labelled(e.modalities, rows) },
		goal:  goal, shown: show(p, "amt", 0, steps),
	})
}

// Adapt is AMT alone, AdaptSteps on private rows without a delta, of which Config.AdaptKeep says what is kept. An edge that has absorbed
// the last aggregate does it before it is used. round is the aggregate's.
func (e *Edge) Adapt(ctx context.Context, round uint64, p Progress) error {
	return e.adapt(ctx, round, e.cfg.AdaptSteps, e.tune, p)
}

// adapt is Adapt with a number of steps of any training.
func (e *Edge) adapt(ctx context.Context, round uint64, steps int, train training, p Progress) error {
	return e.adaptBy(func() error {
		_, err := train(ctx, adaptStage, round, steps, p)
		return err
	})
}

// training is a stage of an edge's round: tune or align.
type training func(ctx context.Context, name string, round uint64, steps int, p Progress) (model.Loss, error)

// anchored is a batch of public rows with the super-peer's representations and answers, and with targets if the edge sees them.
func (e *Edge) anchored(rows []row) model.Batch {
	if e.cfg.PublicLabels == LabelsEdges {
		b := labelled(e.modalities, rows)
		b.Anchor, b.Soft = e.lessons.anchors(rows, e.anchorWidth()), e.lessons.soft(rows)
		return b
	}
	b := inputs(e.modalities, rows)
	b.Anchor, b.Soft, b.Labels = e.lessons.anchors(rows, e.anchorWidth()), e.lessons.soft(rows), e.lessons.labels(rows)
	return b
}

// Evaluate scores greedy answers on test rows, which have targets.
func (e *Edge) Evaluate(ctx context.Context, test []Example) (Scores, error) {
	return e.evaluate(ctx, test)
}

// Answer decodes greedily; targets are not looked at.
func (e *Edge) Answer(ctx context.Context, rows []Example) ([]string, error) {
	return e.answer(ctx, rows)
}

// Params counts all parameters of the model, the frozen base included, and the trainable ones.
func (e *Edge) Params() (total, trainable int64) { return e.model.Params() }

// WriteState writes everything a restart between rounds needs, the supervision included.
func (e *Edge) WriteState(w io.Writer) error {
	var s *Supervision
	if e.lessons != nil {
		s = e.lessons.Supervision
	}
	return writeState(w, "edge", soleModel(e.model), s, e.outbox)
}

// ReadState is WriteState's inverse on an edge that was made with the same arguments.
func (e *Edge) ReadState(r io.Reader) error {
	s, err := readState(r, "edge", soleModel(e.model))
	if err != nil {
		return err
	}
	if s.supervision != nil {
		if err := e.checkSupervision(s.supervision); err != nil {
			return fmt.Errorf("reading the edge's state: %w", err)
		}
	}
	if err := s.load(); err != nil {
		return err
	}
	if err := e.outbox.read(s.outbox, e.shared(e.share)); err != nil {
		return fmt.Errorf("reading the edge's state: %w", err)
	}
	e.lessons, e.taught = nil, nil
	if s.supervision != nil {
		e.supervise(s.supervision)
	}
	return nil
}

// SetSteps changes how many steps the next rounds have. Both may not be 0.
func (e *Edge) SetSteps(ccl, amt int) { e.cfg.CCLSteps, e.cfg.AMTSteps = ccl, amt }
