package method

import (
	"context"
	"fmt"

	"github.com/mlecs/mlecs/learn/model"
)

// speaking is a method whose nodes exchange what they say of the public rows, and no weights: structures may differ at will. The large
// model takes CloudSteps on the targets of the public rows for itself and for each of the small models that mlecs has at the server, all of
// them with what the edges say beside the targets.
type speaking struct {
	*crowd
	language
	steps  int          // of the large model, a round
	heard  *Supervision // what the edges learn from; nil before the first round
	weight float64      // of the server among the edges
}

// language is what speaking methods differ in.
type language struct {
	name string // of what is exchanged
	// config of a model of federation w; nil: as it is.
	config func(w World, cfg Config) Config
	// say is what a model knows of rows.
	say func(ctx context.Context, l *learner, rows []row) (*Supervision, error)
	// pool makes one of what the edges say; server is what the server says.
	pool func(edges []*Supervision, weights []float64, server *Supervision, serverWeight float64) *Supervision
	// echo: the edges learn from what is pooled; otherwise from what the server says after it has learned from that.
	echo bool
	// goal adds the loss towards what was said; edge tells for whom.
	goal func(cfg Config, o *model.Objective, edge bool)
}

func newSpeaking(w World, l language) (*speaking, error) {
	config := func(cfg Config) Config {
		if l.config != nil {
			return l.config(w, cfg)
		}
		return cfg
	}
	c, err := newCrowd(w, true, func(_ int, cfg Config, m []model.Modality) (Config, []model.Modality) { return config(cfg), m })
	if err != nil {
		return nil, err
	}
	c.server.cfg = config(c.server.cfg)
	return &speaking{
		crowd: c, language: l, steps: (1 + w.families()) * w.Config.CloudSteps,
		weight: w.Config.ProxyWeight * float64(len(w.Public)),
	}, nil
}

// Round lets the edges learn from what they heard last and from their own rows, pools what they then say, and trains the server on it.
func (s *speaking) Round(ctx context.Context, round uint64, p Progress) (Traffic, error) {
	wire := newTally(s.server.cfg, len(s.edges))
	var pooled *Supervision
	if round > 0 {
		var err error
		if pooled, err = s.listen(ctx, round, wire, p); err != nil {
			return Traffic{}, fmt.Errorf("round %d: %w", round, err)
		}
	}
	if err := s.teachServer(ctx, round, pooled, p); err != nil {
		return Traffic{}, err
	}
	s.heard = pooled
	if pooled == nil || !s.echo {
		said, err := s.say(ctx, &s.server.learner, s.server.rows)
		if err != nil {
			return Traffic{}, fmt.Errorf("round %d: %w", round, err)
		}
		s.heard = said
	}
	size, err := wire.said(s.heard)
	wire.down[s.name] = size * wire.edges
	return wire.mean(), err
}

// listen trains the edges and pools what they say.
func (s *speaking) listen(ctx context.Context, round uint64, wire *tally, p Progress) (*Supervision, error) {
	var said []*Supervision
	var weights []float64
	for _, e := range s.edges {
		if err := s.learn(ctx, e, round, p); err != nil {
			return nil, err
		}
		own, err := s.say(ctx, &e.learner, e.public)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.stream, err)
		}
		size, err := wire.said(own)
		if err != nil {
			return nil, err
		}
		wire.up[s.name] += size
		said, weights = append(said, own), append(weights, float64(len(e.rows)))
	}
	server, err := s.say(ctx, &s.server.learner, s.server.rows)
	if err != nil {
		return nil, err
	}
	return s.pool(said, weights, server, s.weight), nil
}

// learn is an edge's round: CCLSteps on public rows towards what it heard, and towards their targets where it has them; AMTSteps on
// private rows. Where there is nothing to learn from public rows, all steps are on private ones.
func (s *speaking) learn(ctx context.Context, e *worker, round uint64, p Progress) error {
	goal := e.cfg.objective()
	s.goal(e.cfg, &goal, true)
	if e.cfg.PublicLabels == LabelsEdges {
		goal.LM = 1
	}
	if goal.LM+goal.Soft+goal.Contrast == 0 || e.cfg.CCLSteps == 0 {
		return e.work(ctx, round, e.cfg.objective(), p)
	}
	if err := e.follow(ctx, publicStage, round, e.cfg.CCLSteps, e.public, learnFrom(s.heard), goal, p); err != nil {
		return err
	}
	return e.study(ctx, labelledStage, round, e.cfg.AMTSteps, e.rows, e.cfg.objective(), p)
}

// teachServer trains the large model on the targets of its rows, and on what the edges said, if anything.
func (s *speaking) teachServer(ctx context.Context, round uint64, pooled *Supervision, p Progress) error {
	goal := s.server.cfg.objective()
	if pooled == nil {
		return s.server.study(ctx, labelledStage, round, s.steps, s.server.rows, goal, p)
	}
	goal.LM = 1
	s.goal(s.server.cfg, &goal, false)
	return s.server.follow(ctx, labelledStage, round, s.steps, s.server.rows, learnFrom(pooled), goal, p)
}

// follow trains towards a teacher's answers and representations, by the weights of goal, and towards the targets that rows have.
func (w *worker) follow(ctx context.Context, name string, round uint64, steps int, rows []row, teacher *lessons, goal model.Objective, p Progress) error {
	_, err := w.train(ctx, stage{
		name: name, round: round, steps: steps, rows: rows, goal: goal, shown: show(p, "baseline", 0, steps),
		batch: func(rows []row) model.Batch {
			b := inputs(w.modalities, rows)
			if goal.LM > 0 {
				b = labelled(w.modalities, rows)
			}
			if goal.Soft > 0 {
				b.Soft = teacher.soft(rows)
			}
			if goal.Contrast > 0 {
				b.Anchor = teacher.anchors(rows, w.anchorWidth())
			}
			return b
		},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", w.stream, err)
	}
	return nil
}

func speakingMethods() []starter { return []starter{{"creamfl", creamfl}, {"fedmd", fedmd}} }
