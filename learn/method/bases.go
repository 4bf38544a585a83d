package method

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mlecs/mlecs/learn/model"
)

// Bases are the frozen base models of a federation. All have one tokenizer.
type Bases struct {
	Large *model.Base   // of super-peers
	Small []*model.Base // of edges, one a family
}

// How a base that is not given is pretrained.
const (
	basesVocab = 512 // what a tokenizer trained here may grow to: bytes, and merges for the words of the texts
	basesSteps = 150
	basesBatch = 16
	basesLR    = 3e-3
)

// PretrainBases pretrains a federation's base models on texts, the targets of its public rows. Equal cfg and texts give equal bits,
// and a base does not depend on which others there are. progress may be nil.
func PretrainBases(ctx context.Context, cfg Config, texts []string, progress func(stage string, done, total int64)) (*Bases, error) {
	return Bases{}.Complete(ctx, cfg, texts, progress)
}

// Complete is PretrainBases for the bases that b does not have. If b has any, the others get its tokenizer.
func (b Bases) Complete(ctx context.Context, cfg Config, texts []string, progress func(stage string, done, total int64)) (*Bases, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(b.Small) > 1+len(cfg.Families) {
		return nil, fmt.Errorf("%d small base models for %d families", len(b.Small), 1+len(cfg.Families))
	}
	tok, err := b.tokenizer()
	if err != nil {
		return nil, err
	}
	if tok == nil {
		if tok, err = model.TrainTokenizer(texts, basesVocab); err != nil {
			return nil, fmt.Errorf("train tokenizer: %w", err)
		}
	}
	pretrain := func(name string, form Backbone) (*model.Base, error) {
		c, err := form.Config(tok.Size())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		base, err := model.Pretrain(ctx, c, tok, texts, model.PretrainOptions{
			Steps: basesSteps, Batch: basesBatch, LR: basesLR, Seed: cfg.Seed,
			Progress: func(step, steps int, _ float64) {
				if progress != nil {
					progress("pretraining the "+name, int64(step), int64(steps))
				}
			},
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return base, nil
	}
	out := &Bases{Large: b.Large, Small: make([]*model.Base, 1+len(cfg.Families))}
	copy(out.Small, b.Small)
	for i, given := range out.Small {
		if given != nil {
			continue
		}
		name := "small base model"
		if len(out.Small) > 1 {
			name = fmt.Sprintf("small base model of family %d", i)
		}
		if out.Small[i], err = pretrain(name, cfg.backbone(i)); err != nil {
			return nil, err
		}
	}
	if out.Large == nil {
		if out.Large, err = pretrain("large base model", LargeBackbone()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ErrTokenizers says that base models of one federation cut text differently.
var ErrTokenizers = errors.New("the base models have different tokenizers")

// tokenizer is that of all bases; nil if there are none. Soft targets are token ids, so that all must mean the same by them.
func (b Bases) tokenizer() (*model.Tokenizer, error) {
	var tok *model.Tokenizer
	var first []byte
	for _, base := range append([]*model.Base{b.Large}, b.Small...) {
		if base == nil {
			continue
		}
		raw, err := json.Marshal(base.Tokenizer)
		if err != nil {
			return nil, fmt.Errorf("encode tokenizer: %w", err)
		}
		if tok == nil {
			tok, first = base.Tokenizer, raw
		} else if !bytes.Equal(raw, first) {
			return nil, ErrTokenizers
		}
	}
	return tok, nil
}
