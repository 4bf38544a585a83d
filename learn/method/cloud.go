package method

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Cloud is a super-peer's learner: the large model, and the small one that the edges share. The small one, the proxy, has all
// modalities on the edges' base, so that its LoRA and encoders have the signatures of theirs.
type Cloud struct {
	large  learner
	proxy  learner
	public []row
	share  []string
	taught *Supervision // what the large model knew after its last round; nil before the first
}

// NewCloud: public rows have targets and all modalities. share is the federation's policy, as for NewEdge: kinds of components that are
// aggregated.
func NewCloud(cfg Config, large, small *model.Base, modalities []model.Modality, public []Example, share []string, stream string) (*Cloud, error) {
	if err := checkShare(share); err != nil {
		return nil, err
	}
	l, err := newLearner(cfg, large, modalities, stream)
	if err != nil {
		return nil, err
	}
	p, err := newLearner(cfg, small, modalities, stream+"/proxy")
	if err != nil {
		return nil, err
	}
	if err := sameVocabulary(large.Tokenizer, small.Tokenizer); err != nil {
		return nil, err
	}
	c := &Cloud{large: *l, proxy: *p, share: slices.Clone(share)}
	if c.public, err = prepare(cfg, large, l.modalities, public); err != nil {
		return nil, fmt.Errorf("public rows: %w", err)
	}
	if len(c.public) == 0 {
		return nil, errors.New("a super-peer needs public rows to learn from")
	}
	if err := errors.Join(needTargets(c.public), needUniqueIDs(c.public)); err != nil {
		return nil, fmt.Errorf("public rows: %w", err)
	}
	return c, nil
}

// sameVocabulary: soft targets are token ids, so that small and large model must mean the same by them.
func sameVocabulary(a, b *model.Tokenizer) error {
	if a.Size() != b.Size() || a.End() != b.End() {
		return fmt.Errorf("the large base has %d tokens and the small one %d; they need one tokenizer", a.Size(), b.Size())
	}
	for id := range a.Size() {
		if ids := []int{id}; a.Decode(ids) != b.Decode(ids) {
			return fmt.Errorf("token %d is %q in the large base and %q in the small one; they need one tokenizer", id, a.Decode(ids), b.Decode(ids))
		}
	}
	return nil
}

// Round aggregates (MMA), tunes small and large together (SE-CCL) and yields aggregate and supervision. Round 0 has no inputs: the proxy
// is tuned first and stands for the federation.
//
// With inputs, the components are the plain weighted mean of the inputs and of what the proxy learned since the last aggregate, in an
// order that only their values decide: the proxy takes part as an edge would, and whoever has the same inputs gets the same mean.
func (c *Cloud) Round(ctx context.Context, round uint64, inputs []Input, p Progress) (*Aggregate, error) {
	a := &Aggregate{Round: round, Metrics: map[string]float64{}}
	if len(inputs) > 0 {
		if err := c.aggregate(a, inputs, p); err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
	}
	if err := c.tuneProxy(ctx, a, p); err != nil {
		return nil, err
	}
	if len(inputs) == 0 {
		if err := c.aggregate(a, nil, p); err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
	}
	if c.large.cfg.Transfer {
		var components []adapter.Component
		for _, x := range a.Components {
			components = append(components, x.Component)
		}
		n, err := c.large.adopt(components)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
		a.Metrics["transferred"] = float64(n)
	}
	if err := c.tuneLarge(ctx, a, p); err != nil {
		return nil, err
	}
	taught, err := c.large.teach(ctx, c.public)
	if err != nil {
		return nil, fmt.Errorf("round %d: %w", round, err)
	}
	c.taught, a.Supervision = taught, taught
	a.Metrics["fit"] = c.fit(taught)
	return a, nil
}

// aggregate fills in a's components and weights and loads them into the proxy.
func (c *Cloud) aggregate(a *Aggregate, inputs []Input, p Progress) error {
	ownWeight := c.proxy.cfg.ProxyWeight * float64(len(c.public))
	averaged, weights, rejected, err := aggregate(inputs, c.proxy.shared(c.share), ownWeight, len(c.proxy.modalities), c.share)
	if err != nil {
		return err
	}
	a.Components, a.Weights = averaged, weights
	a.Metrics["rejected"] = float64(rejected)
	var components []adapter.Component
	for _, x := range averaged {
		components = append(components, x.Component)
	}
	if _, err := c.proxy.adopt(components); err != nil {
		return fmt.Errorf("loading the mean: %w", err)
	}
	if p != nil {
		p("mma", len(inputs), len(inputs), 0)
	}
	return nil
}

// tuneProxy trains the small model on the public rows, towards their targets and the large model's answers of the last round.
func (c *Cloud) tuneProxy(ctx context.Context, a *Aggregate, p Progress) error {
	goal := c.proxy.cfg.objective()
	goal.LM = 1
	teacher := learnFrom(c.taught)
	if teacher != nil {
		goal.Soft = c.proxy.cfg.KD
	}
	steps := c.proxy.cfg.CloudSteps
	loss, err := c.proxy.train(ctx, stage{
		name: labelledStage, round: a.Round, steps: steps, rows: c.public, goal: goal,
		batch: func(rows []row) model.Batch {
			b := labelled(c.proxy.modalities, rows)
			if teacher != nil {
				b.Soft = teacher.soft(rows)
			}
			return b
		},
		shown: show(p, "se-ccl", 0, 2*steps),
	})
	if err != nil {
		return fmt.Errorf("tuning the small model: %w", err)
	}
	a.Metrics["proxy_lm"], a.Metrics["proxy_soft"] = loss.LM, loss.Soft
	return nil
}

// tuneLarge trains the large model on the public rows, guided by the proxy: its fused representations are the anchors and its answers the
// soft targets.
func (c *Cloud) tuneLarge(ctx context.Context, a *Aggregate, p Progress) error {
	cfg := c.large.cfg
	goal := cfg.objective()
	goal.LM, goal.Contrast, goal.Soft = 1, cfg.Guide, cfg.KD
	guide, err := c.proxy.teach(ctx, c.public)
	if err != nil {
		return fmt.Errorf("tuning the large model: %w", err)
	}
	teacher := learnFrom(guide)
	loss, err := c.large.train(ctx, stage{
		name: labelledStage, round: a.Round, steps: cfg.CloudSteps, rows: c.public, goal: goal,
		batch: func(rows []row) model.Batch {
			b := labelled(c.large.modalities, rows)
			b.Soft, b.Anchor = teacher.soft(rows), teacher.anchors(rows)
			return b
		},
		shown: show(p, "se-ccl", cfg.CloudSteps, 2*cfg.CloudSteps),
	})
	if err != nil {
		return fmt.Errorf("tuning the large model: %w", err)
	}
	a.Metrics["large_lm"], a.Metrics["large_soft"], a.Metrics["large_contrast"] = loss.LM, loss.Soft, loss.Contrast
	return nil
}

// fit is the share of public rows that the large model answers exactly as their targets.
func (c *Cloud) fit(s *Supervision) float64 {
	var right float64
	for i, r := range c.public {
		if slices.Equal(s.Soft[i].IDs, r.target) {
			right++
		}
	}
	return right / float64(len(c.public))
}

// Evaluate scores the large model's greedy answers on test rows.
func (c *Cloud) Evaluate(ctx context.Context, test []Example) (Scores, error) {
	return c.large.evaluate(ctx, test)
}

// Answer decodes greedily by the large model; targets are not looked at.
func (c *Cloud) Answer(ctx context.Context, rows []Example) ([]string, error) {
	return c.large.answer(ctx, rows)
}

// Params counts all parameters of the large model, its frozen base included, and the trainable ones.
func (c *Cloud) Params() (total, trainable int64) { return c.large.model.Params() }

// WriteState writes everything a restart between rounds needs; another super-peer can go on from it.
func (c *Cloud) WriteState(w io.Writer) error {
	return writeState(w, "cloud", []savedModel{{"large", c.large.model}, {"proxy", c.proxy.model}}, c.taught)
}

// ReadState is WriteState's inverse on a cloud that was made with the same arguments, but for the stream. After an error the cloud is of
// no use.
func (c *Cloud) ReadState(r io.Reader) error {
	s, err := readState(r, "cloud", "large", "proxy")
	if err != nil {
		return err
	}
	if err := c.large.model.ReadState(s.models["large"]); err != nil {
		return fmt.Errorf("reading the cloud's large model: %w", err)
	}
	if err := c.proxy.model.ReadState(s.models["proxy"]); err != nil {
		return fmt.Errorf("reading the cloud's small model: %w", err)
	}
	c.taught = s.supervision
	if s.supervision != nil && len(learnFrom(s.supervision).known(c.public)) != len(c.public) {
		return errors.New("reading the cloud's state: it does not speak of all public rows")
	}
	return nil
}
