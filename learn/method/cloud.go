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

// Cloud is a super-peer's learner: the large model, and of every family the small one that its edges share. These small ones, the
// proxies, have all modalities on their edges' base, so that their LoRA and encoders have the signatures of the edges'. Proxies never
// share a LoRA or a connector, which belong to a base; what one family knows reaches another through the large model, which all of them
// guide and which teaches all of them.
type Cloud struct {
	large   learner
	proxies []proxy
	public  []row
	share   []string
	taught  *Supervision // what the large model knew after its last round; nil before the first
}

// proxy is the small model of a family, with the public rows as its base reads them.
type proxy struct {
	learner
	public []row
}

// NewCloud makes the learner of a super-peer. small has one base a family, as cfg has structures. Public rows have targets and all
// modalities. share is the federation's policy, as for NewEdge: kinds of components that are aggregated.
func NewCloud(cfg Config, large *model.Base, small []*model.Base, modalities []model.Modality, public []Example, share []string, stream string) (*Cloud, error) {
	if err := checkShare(share); err != nil {
		return nil, err
	}
	l, proxies, err := newTier(cfg, large, small, modalities, stream)
	if err != nil {
		return nil, err
	}
	c := &Cloud{large: *l, share: slices.Clone(share)}
	if c.public, err = prepare(cfg, large, l.modalities, public); err != nil {
		return nil, fmt.Errorf("public rows: %w", err)
	}
	if len(c.public) == 0 {
		return nil, errors.New("a super-peer needs public rows to learn from")
	}
	if err := errors.Join(needTargets(c.public), needUniqueIDs(c.public)); err != nil {
		return nil, fmt.Errorf("public rows: %w", err)
	}
	for family, l := range proxies {
		p := proxy{learner: *l}
		if p.public, err = prepare(l.cfg, l.base, l.modalities, public); err != nil {
			return nil, fmt.Errorf("public rows of the small model of family %d: %w", family, err)
		}
		c.proxies = append(c.proxies, p)
	}
	return c, nil
}

// newTier builds a super-peer's models: the large one, and the proxies, one a family, beside which it answers.
func newTier(cfg Config, large *model.Base, small []*model.Base, modalities []model.Modality, stream string) (*learner, []*learner, error) {
	l, err := newLearner(cfg, large, modalities, stream)
	if err != nil {
		return nil, nil, err
	}
	if len(small) != 1+len(cfg.Families) {
		return nil, nil, fmt.Errorf("%d small base models for %d families", len(small), 1+len(cfg.Families))
	}
	var proxies []*learner
	for family, base := range small {
		p, err := newLearner(cfg.Of(family), base, modalities, proxyStream(stream, family))
		if err == nil {
			err = sameVocabulary(large.Tokenizer, base.Tokenizer)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("small model of family %d: %w", family, err)
		}
		proxies, l.beside = append(proxies, p), append(l.beside, p.model)
	}
	return l, proxies, nil
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

// Round aggregates (MMA), tunes small and large together (SE-CCL) and yields aggregate and supervision. Round 0 has no inputs: the
// proxies are tuned first and stand for their families.
//
// With inputs, the components are the plain weighted mean of the inputs and of what the proxies learned since the last aggregate, in an
// order that only their values decide: a proxy takes part as an edge would, and whoever has the same inputs gets the same mean.
func (c *Cloud) Round(ctx context.Context, round uint64, inputs []Input, p Progress) (*Aggregate, error) {
	a := &Aggregate{Round: round, Metrics: map[string]float64{}}
	if len(inputs) > 0 {
		if err := c.aggregate(a, inputs, p); err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
	}
	if err := c.tuneProxies(ctx, a, p); err != nil {
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
		adopted, err := c.large.adopt(components)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
		a.Metrics["transferred"] = float64(len(adopted))
	}
	if err := c.tuneLarge(ctx, a, p); err != nil {
		return nil, err
	}
	taught, err := c.large.teach(ctx, c.public)
	if err != nil {
		return nil, fmt.Errorf("round %d: %w", round, err)
	}
	c.taught = taught
	if a.SupervisionBlob, err = EncodeSupervision(c.large.cfg.SupervisionCodec, taught); err != nil {
		return nil, fmt.Errorf("round %d: %w", round, err)
	}
	if a.Supervision, err = DecodeSupervision(a.SupervisionBlob, c.large.cfg.MaxSupervision(len(c.public))); err != nil {
		return nil, fmt.Errorf("round %d: %w", round, err)
	}
	a.Metrics["fit"] = c.fit(taught)
	return a, nil
}

// aggregate fills in a's components and weights and loads them into the proxies.
func (c *Cloud) aggregate(a *Aggregate, inputs []Input, p Progress) error {
	a.Own, a.OwnBlobs, a.OwnRows = nil, nil, len(c.public)
	for _, proxy := range c.proxies {
		for _, x := range proxy.shared(c.share) {
			// Whoever recomputes the mean has what travelled.
			own, blob, err := encodeAggregate(c.large.cfg.AggregateCodec, x)
			if err != nil {
				return err
			}
			a.Own, a.OwnBlobs = append(a.Own, own), append(a.OwnBlobs, blob)
		}
	}
	averaged, weights, rejected, err := Mean(c.large.cfg, a.Round, inputs, a.Own, a.OwnRows, len(c.large.modalities), c.share)
	if err != nil {
		return err
	}
	a.Components, a.Weights = averaged, weights
	a.Metrics["rejected"] = float64(rejected)
	var components []adapter.Component
	for _, x := range averaged {
		components = append(components, x.Component)
	}
	if err := c.Adopt(components); err != nil {
		return err
	}
	if p != nil {
		p("mma", len(inputs), len(inputs), 0)
	}
	return nil
}

// Adopt loads averaged components into the small models that have such: all that a super-peer can do with an aggregate whose checkpoint it
// does not have.
func (c *Cloud) Adopt(components []adapter.Component) error {
	for family := range c.proxies {
		if _, err := c.proxies[family].adopt(components); err != nil {
			return fmt.Errorf("loading the mean into the small model of family %d: %w", family, err)
		}
	}
	return nil
}

// tuneProxies trains the small models on the public rows, towards their targets and the large model's answers of the last round.
func (c *Cloud) tuneProxies(ctx context.Context, a *Aggregate, p Progress) error {
	teacher := learnFrom(c.taught)
	for family := range c.proxies {
		proxy := &c.proxies[family]
		goal := proxy.cfg.objective()
		goal.LM = 1
		if teacher != nil {
			goal.Soft = proxy.cfg.KD
		}
		loss, err := proxy.train(ctx, stage{
			name: labelledStage, round: a.Round, steps: proxy.cfg.CloudSteps, rows: proxy.public, goal: goal,
			batch: func(rows []row) model.Batch {
				b := labelled(proxy.modalities, rows)
				if teacher != nil {
					b.Soft = teacher.soft(rows)
				}
				return b
			},
			shown: c.showTuning(p, family),
		})
		if err != nil {
			return fmt.Errorf("tuning the small model of family %d: %w", family, err)
		}
		suffix := ""
		if family > 0 {
			suffix = fmt.Sprintf("/%d", family)
		}
		a.Metrics["proxy_lm"+suffix], a.Metrics["proxy_soft"+suffix] = loss.LM, loss.Soft
	}
	return nil
}

// showTuning reports the steps of SE-CCL's part i: the proxies', and then the large model's.
func (c *Cloud) showTuning(p Progress, i int) func(done int, loss float64) {
	steps := c.large.cfg.CloudSteps
	return show(p, "se-ccl", i*steps, (1+len(c.proxies))*steps)
}

// tuneLarge trains the large model on the public rows, guided by the ensemble of the proxies: their answers are the soft targets, and
// their fused representations the anchors.
//
// The proxies guide in turn, one a step. Distillation is linear in the teacher's distribution, so that over the steps this is
// distillation from the mean of the proxies, but each along an answer of its own; and the anchors of a batch must come from one model,
// for vectors of different spaces, and of different widths, cannot be compared.
func (c *Cloud) tuneLarge(ctx context.Context, a *Aggregate, p Progress) error {
	cfg := c.large.cfg
	goal := cfg.objective()
	goal.LM, goal.Contrast, goal.Soft = 1, cfg.Guide, cfg.KD
	guides := make([]*lessons, len(c.proxies))
	for family := range c.proxies {
		proxy := &c.proxies[family]
		guide, err := proxy.teach(ctx, proxy.public)
		if err != nil {
			return fmt.Errorf("the small model of family %d guides the large one: %w", family, err)
		}
		guides[family] = learnFrom(guide)
	}
	steps := 0
	loss, err := c.large.train(ctx, stage{
		name: labelledStage, round: a.Round, steps: cfg.CloudSteps, rows: c.public, goal: goal,
		batch: func(rows []row) model.Batch {
			guide := guides[steps%len(guides)]
			steps++
			b := labelled(c.large.modalities, rows)
			b.Soft, b.Anchor = guide.soft(rows), guide.anchors(rows, c.large.anchorWidth())
			return b
		},
		shown: c.showTuning(p, len(c.proxies)),
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

// StartFrom replaces a component of the small models whose signature it has, so that round 0 hands it to the edges. An error wraps
// adapter.ErrStructure.
func (c *Cloud) StartFrom(x adapter.Component) error {
	for family := range c.proxies {
		adopted, err := c.proxies[family].adopt([]adapter.Component{x})
		if err != nil || len(adopted) > 0 {
			return err
		}
	}
	return fmt.Errorf("no small model has a component %q with signature %s: %w", x.Name, x.Signature, adapter.ErrStructure)
}

// SetSteps changes how many steps each model has in the next rounds, at least 1.
func (c *Cloud) SetSteps(steps int) {
	c.large.cfg.CloudSteps = steps
	for family := range c.proxies {
		c.proxies[family].cfg.CloudSteps = steps
	}
}

// Evaluate scores greedy answers on test rows, as Answer gives them.
func (c *Cloud) Evaluate(ctx context.Context, test []Example) (Scores, error) {
	return c.large.evaluate(ctx, test)
}

// Answer decodes greedily by the large model and the proxies together (the mean of their probabilities): the large model has learned
// from public rows alone, the proxies hold what the edges learned from theirs. Targets are not looked at.
func (c *Cloud) Answer(ctx context.Context, rows []Example) ([]string, error) {
	return c.large.answer(ctx, rows)
}

// Params counts all parameters of the large model, its frozen base included, and the trainable ones.
func (c *Cloud) Params() (total, trainable int64) { return c.large.model.Params() }

// WriteState writes everything a restart between rounds needs; another super-peer can go on from it.
func (c *Cloud) WriteState(w io.Writer) error {
	return writeState(w, "cloud", cloudModels(c.large.model, c.large.beside), c.taught, nil)
}

// ReadState is WriteState's inverse on a cloud that was made with the same arguments, but for the stream. After an error the cloud is of
// no use.
func (c *Cloud) ReadState(r io.Reader) error {
	s, err := readState(r, "cloud", cloudModels(c.large.model, c.large.beside))
	if err != nil {
		return err
	}
	if err := s.load(); err != nil {
		return err
	}
	c.taught = s.supervision
	if s.supervision != nil && len(learnFrom(s.supervision).known(c.public)) != len(c.public) {
		return errors.New("reading the cloud's state: it does not speak of all public rows")
	}
	return nil
}
