package model_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

func TestPretrainLearns(t *testing.T) {
	tok, err := model.TrainTokenizer(words, 300)
	if err != nil {
		t.Fatal(err)
	}
	cfg := model.Config{Layers: 2, Dim: 32, Heads: 4, Vocab: tok.Size(), Positions: 48, Eps: 1e-5}
	var losses []float64
	opt := model.PretrainOptions{Steps: 120, Batch: 8, Seed: 1, Progress: func(_, _ int, loss float64) { losses = append(losses, loss) }}
	if _, err := model.Pretrain(context.Background(), cfg, tok, words, opt); err != nil {
		t.Fatal(err)
	}
	if last := losses[len(losses)-1]; len(losses) != 120 || !(last < losses[0]/3) {
		t.Errorf("%d steps, loss from %v to %v", len(losses), losses[0], last)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opt.Progress = func(step, _ int, _ float64) {
		if step == 3 {
			cancel()
		}
	}
	if _, err := model.Pretrain(ctx, cfg, tok, words, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled after 3 steps: %v", err)
	}
}
