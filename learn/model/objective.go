package model

import (
	"fmt"
	"math"
	"slices"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Kinds of contrastive loss.
const (
	ContrastSimilarity = "similarity" // op.Similarity of the fused vector and of every modality's projection with the anchor
	ContrastGram       = "gram"       // op.Gram of the anchor and every modality's share of the fused vector
	ContrastCosine     = "cosine"     // op.Gram of cosines of the fused vector with the anchor, InfoNCE
)

var contrasts = []string{ContrastSimilarity, ContrastGram, ContrastCosine}

// Objective weighs the parts of the loss of one step. A part with weight 0 is not computed.
type Objective struct {
	LM, Soft, Contrast float64
	Kind               string  // of the contrastive loss
	Tau                float64 // temperature of ContrastGram and ContrastCosine; 0 means 0.07
	LR, Decay          float64 // AdamW
	Clip               float64 // global gradient norm; 0: not clipped
	// Penalty, if not nil, adds to the gradients what a loss on the weights themselves would, before they are clipped. It must not
	// change the weights, which are given in the order of their gradients.
	Penalty func(weights []adapter.Tensor, gradients [][]float32)
}

// Loss of one step, each part before its weight; 0 for what was not computed.
type Loss struct{ Total, LM, Soft, Contrast float64 }

func (o Objective) validate() error {
	for _, f := range [...]struct {
		name  string
		value float64
	}{{"LM", o.LM}, {"Soft", o.Soft}, {"Contrast", o.Contrast}, {"Tau", o.Tau}, {"LR", o.LR}, {"Decay", o.Decay}, {"Clip", o.Clip}} {
		if !(f.value >= 0) || math.IsInf(f.value, 0) {
			return fmt.Errorf("objective: %s is %v, want 0 or more", f.name, f.value)
		}
	}
	if o.Contrast > 0 && !slices.Contains(contrasts, o.Kind) {
		return fmt.Errorf("objective: unknown contrastive loss %q, want one of %q", o.Kind, contrasts)
	}
	return nil
}
