package method

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Config is the method's hyper-parameters; stored in the genesis. The zero value is not valid: start from Default.
type Config struct {
	Spec        model.Spec `json:"spec" cbor:"spec"` // Modalities left empty: each node fills in its own
	CCLSteps    int        `json:"ccl_steps"`        // edge steps a round on public rows
	AMTSteps    int        `json:"amt_steps"`        // edge steps a round on private rows
	AdaptSteps  int        `json:"adapt_steps"`      // edge steps on private rows after the last aggregate
	AdaptKeep   float64    `json:"adapt_keep"`       // share of the aggregate's weights that stay in the adapted ones; see Edge.Adapt
	CloudSteps  int        `json:"cloud_steps"`      // super-peer steps a round on public rows (per model: small and large)
	Batch       int        `json:"batch"`            // rows a step; fewer if a node has fewer
	LR          float64    `json:"lr"`               // AdamW learning rate
	Decay       float64    `json:"decay"`            // AdamW weight decay
	Clip        float64    `json:"clip"`             // global gradient norm; 0: none
	Contrast    string     `json:"contrast"`         // "similarity", "gram" or "cosine"
	Tau         float64    `json:"tau"`              // temperature of gram and cosine
	Lambda      float64    `json:"lambda"`           // weight of CCL, at the edges
	Guide       float64    `json:"guide"`            // weight of the same loss in SE-CCL, towards the small model; 0: answers guide alone
	SoftWeight  float64    `json:"soft_weight"`      // weight of soft targets
	SoftK       int        `json:"soft_k"`           // top-k of soft targets
	KD          float64    `json:"kd"`               // weight of SE-CCL's distillation, both ways
	Rule        string     `json:"rule"`             // of MMA, one of Rules; empty: the first
	ProxyWeight float64    `json:"proxy_weight"`     // the cloud's own part in MMA: that times the weight of an edge with the public rows and all modalities
	Stale       float64    `json:"stale"`            // what a delta counts for each round that it is late, of what it would on time; see MaxAge
	Transfer    bool       `json:"transfer"`         // the large model takes over aggregated components of equal signature (its encoders)
	MaxTokens   int        `json:"max_tokens"`       // of an answer, end-of-text included
	Seed        uint64     `json:"seed"`             // federation seed; nodes derive theirs from it and their stream name
	// PublicLabels says who sees the targets of public rows: "cloud", the super-peers alone (also if empty), or "edges", edges too.
	PublicLabels string   `json:"public_labels"`
	Mu           float64  `json:"mu"`       // weight of fedprox's proximal term
	Families     []Family `json:"families"` // structures of the families beyond the first, whose structure is Spec; empty: one family

	// What leaves an edge in a round is clipped to the norm DPClip, and normal noise of deviation DPNoise * DPClip is added; 0: neither.
	DPClip  float64 `json:"dp_clip,omitempty"`
	DPNoise float64 `json:"dp_noise,omitempty"`

	// How what is exchanged is encoded, as adapter.ParseCodec reads it.
	Codec            string `json:"codec"`             // of deltas: any codec
	AggregateCodec   string `json:"aggregate_codec"`   // safetensors, bf16 or int8
	SupervisionCodec string `json:"supervision_codec"` // safetensors, bf16, int8 or int4
}

// Values of Config.PublicLabels.
const (
	LabelsCloud = "cloud"
	LabelsEdges = "edges"
)

// Default is the setting S3 of the design, sized so that a round takes seconds on two cores.
func Default() Config {
	return Config{
		Spec: model.Spec{
			Width: 16, Projection: 64, Fused: 256, Prompt: 8,
			Rank: 8, Alpha: 16, Dropout: 0.1, LoRADrop: 0.05,
			Targets: []string{"attn.c_attn", "attn.c_proj"},
		},
		CCLSteps: 14, AMTSteps: 56, AdaptSteps: 40, AdaptKeep: 0.5, CloudSteps: 56,
		Batch: 16, LR: 4e-3, Decay: 0.01, Clip: 1,
		Contrast: "similarity", Tau: 0.07, Lambda: 0.2,
		SoftWeight: 1, SoftK: 8, KD: 2,
		Rule: RuleModalityRows, ProxyWeight: 0.3, Stale: 0.5, Transfer: true,
		PublicLabels: LabelsCloud, Mu: 0.01,
		MaxTokens: 16, Seed: 1,
		Codec: adapter.CodecInt8, AggregateCodec: adapter.CodecInt8, SupervisionCodec: adapter.CodecInt8,
	}
}

// DefaultShare is the share policy by which small federations gain most: every kind of component is averaged over the
// nodes that have it. The paper's is "lora" alone.
func DefaultShare() []string { return []string{"lora", "encoder", "connector"} }

// Answers may take spareTokens more than the targets that a federation begins with, because others may hold words that the tokenizer has
// not seen; but no more than mostTokens, unless the configuration says so.
const (
	spareTokens = 8
	mostTokens  = 64
)

// WithRoom is c with max_tokens raised to what answers like the targets given need.
func (c Config) WithRoom(tok *model.Tokenizer, targets []string) Config {
	for _, t := range targets {
		c.MaxTokens = max(c.MaxTokens, min(len(tok.Encode(t))+1+spareTokens, mostTokens))
	}
	return c
}

// Validate names the first field that is out of range, with its range.
func (c Config) Validate() error {
	ints := []intRange{
		{"ccl_steps", c.CCLSteps, 0, 1e6},
		{"amt_steps", c.AMTSteps, 0, 1e6},
		{"adapt_steps", c.AdaptSteps, 0, 1e6},
		{"cloud_steps", c.CloudSteps, 1, 1e6},
		{"batch", c.Batch, 2, 4096},
		{"soft_k", c.SoftK, 1, 1024},
		{"max_tokens", c.MaxTokens, 2, 4096},
	}
	floats := []floatRange{
		{"lr", c.LR, math.SmallestNonzeroFloat64, 1},
		{"decay", c.Decay, 0, 1},
		{"clip", c.Clip, 0, 1e6},
		{"tau", c.Tau, 1e-3, 10},
		{"lambda", c.Lambda, 0, 1e3},
		{"soft_weight", c.SoftWeight, 0, 1e3},
		{"guide", c.Guide, 0, 1e3},
		{"kd", c.KD, 0, 1e3},
		{"adapt_keep", c.AdaptKeep, 0, 1},
		{"proxy_weight", c.ProxyWeight, 0, 1e3},
		{"mu", c.Mu, 0, 1e3},
		{"stale", c.Stale, 0, 1},
	}
	if err := checkRanges(ints, floats); err != nil {
		return err
	}
	if err := c.validateSpec(); err != nil {
		return err
	}
	if c.CCLSteps+c.AMTSteps == 0 {
		return errors.New("method: ccl_steps and amt_steps are both 0; edges would learn nothing")
	}
	if kinds := []string{model.ContrastSimilarity, model.ContrastGram, model.ContrastCosine}; !slices.Contains(kinds, c.Contrast) {
		return fmt.Errorf("method: contrast is %q; it must be one of %q", c.Contrast, kinds)
	}
	if !slices.Contains(Rules(), c.MeanRule()) {
		return fmt.Errorf("method: rule is %q; it must be one of %q", c.Rule, Rules())
	}
	if !slices.Contains([]string{"", LabelsCloud, LabelsEdges}, c.PublicLabels) {
		return fmt.Errorf("method: public_labels is %q; it must be %q or %q", c.PublicLabels, LabelsCloud, LabelsEdges)
	}
	if err := c.validateCodecs(); err != nil {
		return err
	}
	if err := c.validatePrivacy(); err != nil {
		return err
	}
	return c.validateFamilies()
}

// validateSpec is Validate's part about the structure of one family.
func (c Config) validateSpec() error {
	return checkRanges([]intRange{
		{"spec.width", c.Spec.Width, 1, 1 << 10},
		{"spec.projection", c.Spec.Projection, 1, 1 << 14},
		{"spec.fused", c.Spec.Fused, 1, 1 << 14},
		{"spec.prompt", c.Spec.Prompt, 1, 1 << 10},
		{"spec.rank", c.Spec.Rank, 1, 1 << 10},
	}, []floatRange{
		{"spec.alpha", c.Spec.Alpha, math.SmallestNonzeroFloat64, 1e4},
		{"spec.dropout", c.Spec.Dropout, 0, 0.9},
		{"spec.lora_dropout", c.Spec.LoRADrop, 0, 0.9},
	})
}

// intRange and floatRange are a field with the range it must be in.
type intRange struct {
	name      string
	value     int
	low, high int
}

type floatRange struct {
	name      string
	value     float64
	low, high float64
}

func checkRanges(ints []intRange, floats []floatRange) error {
	for _, f := range ints {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("method: %s is %d; it must be %d to %d", f.name, f.value, f.low, f.high)
		}
	}
	for _, f := range floats {
		if !(f.value >= f.low && f.value <= f.high) {
			return fmt.Errorf("method: %s is %v; it must be %.3g to %.3g", f.name, f.value, f.low, f.high)
		}
	}
	return nil
}

// spec is the structure of a node with these modalities.
func (c Config) spec(modalities []model.Modality) model.Spec {
	s := c.Spec
	s.Modalities = modalities
	return s
}

// objective has everything but the weights of the parts of the loss.
func (c Config) objective() model.Objective {
	return model.Objective{Kind: c.Contrast, Tau: c.Tau, LR: c.LR, Decay: c.Decay, Clip: c.Clip}
}
