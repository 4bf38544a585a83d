package node

import (
	"context"
	"fmt"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
)

// Scores are stored once a round and never changed: a restarted node does not evaluate again.

// roundScores reads the scores under a prefix, in order of round.
func roundScores(store *storage.Store, prefix string) ([]api.RoundScore, error) {
	keys, err := store.Keys(prefix)
	if err != nil {
		return nil, fmt.Errorf("list scores: %w", err)
	}
	list := make([]api.RoundScore, 0, len(keys))
	for _, k := range keys {
		var s api.RoundScore
		if _, err := getJSON(store, k, &s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// putScore stores the score of a round under a prefix; it is there once and for all.
func putScore(store *storage.Store, prefix string, round uint64, s api.Score) error {
	return putJSON(store, scoreKey(prefix, round), api.RoundScore{Round: round, Score: s})
}

func scoreKey(prefix string, round uint64) string { return fmt.Sprintf("%s%09d", prefix, round) }

// score evaluates the model on the own test rows, unless the round has a score already.
func (l *learner) score(ctx context.Context, round uint64, evaluate func(context.Context, []method.Example) (method.Scores, error)) error {
	if len(l.rows.test) == 0 {
		return nil
	}
	if ok, err := getJSON(l.store, scoreKey(keyTogether, round), new(api.RoundScore)); err != nil || ok {
		return err
	}
	defer l.busy()()
	l.live.enter(phaseEvaluating)
	s, err := evaluate(ctx, l.rows.test)
	if err != nil {
		return fmt.Errorf("evaluate round %d: %w", round, err)
	}
	l.log.Info("scored", "round", round, "rouge_lsum", s.RougeLsum, "exact_match", s.ExactMatch)
	return putScore(l.store, keyTogether, round, score(s))
}

// scoreConstant stores what the best constant answer reaches.
func (l *learner) scoreConstant(targets []method.Example) error {
	if len(l.rows.test) == 0 {
		return nil
	}
	if ok, err := getJSON(l.store, keyConstant, new(api.Score)); err != nil || ok {
		return err
	}
	return putJSON(l.store, keyConstant, score(method.Constant(targets, l.rows.test)))
}

func score(s method.Scores) api.Score {
	return api.Score{RougeLsum: finite(s.RougeLsum), ExactMatch: finite(s.ExactMatch)}
}
