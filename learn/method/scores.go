package method

import (
	"context"
	"slices"

	"github.com/mlecs/mlecs/learn/metric"
)

// Scores of a model on test rows. Means over rows.
type Scores struct {
	RougeLsum  float64 `json:"rouge_lsum"` // F measure, without stemmer
	ExactMatch float64 `json:"exact_match"`
	Rows       int     `json:"rows"`
}

// score compares answers to the targets of rows.
func score(answers []string, rows []Example) Scores {
	s := Scores{Rows: len(rows)}
	for i, r := range rows {
		s.RougeLsum += metric.Compute(answers[i], r.Target, false).Lsum.F
		if metric.ExactMatch(answers[i], r.Target) {
			s.ExactMatch++
		}
	}
	if s.Rows > 0 {
		s.RougeLsum /= float64(s.Rows)
		s.ExactMatch /= float64(s.Rows)
	}
	return s
}

// answer decodes greedily. Targets are taken away first: no model sees what it is to be scored by.
func (l *learner) answer(ctx context.Context, examples []Example) ([]string, error) {
	blind := slices.Clone(examples)
	for i := range blind {
		blind[i].Target = ""
	}
	rows, err := prepare(l.cfg, l.base, l.modalities, blind)
	if err != nil {
		return nil, err
	}
	return l.answers(ctx, rows)
}

// evaluate scores greedy answers on test rows.
func (l *learner) evaluate(ctx context.Context, test []Example) (Scores, error) {
	answers, err := l.answer(ctx, test)
	if err != nil {
		return Scores{}, err
	}
	return score(answers, test), nil
}

// Constant scores the best constant answer, chosen on training targets, on test.
func Constant(train, test []Example) Scores {
	targets := make([]string, len(train))
	for i, r := range train {
		targets[i] = r.Target
	}
	return score(slices.Repeat([]string{metric.BestConstant(targets)}, len(test)), test)
}
