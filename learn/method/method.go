// Package method holds the learning methods as transport-free state machines: an edge step takes the newest aggregate and yields a
// delta, a cloud step takes deltas and yields an aggregate. The daemon drives it by gossip, an experiment by a loop.
package method

import (
	"context"
	"io"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Config is the method's hyper-parameters; stored in the genesis. The zero value is not valid: start from Default.
type Config struct {
	Spec       model.Spec `json:"spec" cbor:"spec"` // Modalities left empty: each node fills in its own
	CCLSteps   int        `json:"ccl_steps"`        // edge steps a round on public rows
	AMTSteps   int        `json:"amt_steps"`        // edge steps a round on private rows
	CloudSteps int        `json:"cloud_steps"`      // super-peer steps a round on public rows (per model: small and large)
	Batch      int        `json:"batch"`
	LR         float64    `json:"lr"`
	Decay      float64    `json:"decay"`
	Clip       float64    `json:"clip"`
	Contrast   string     `json:"contrast"`    // "similarity" or "gram"
	Lambda     float64    `json:"lambda"`      // weight of CCL
	SoftWeight float64    `json:"soft_weight"` // weight of soft targets
	SoftK      int        `json:"soft_k"`      // top-k of soft targets
	KD         float64    `json:"kd"`          // weight of SE-CCL's distillation
	MaxTokens  int        `json:"max_tokens"`  // of an answer
	Seed       uint64     `json:"seed"`        // federation seed; nodes derive theirs from it and their stream name
}

// Default is the setting S3 of the design.
func Default() Config            { panic("stub") }
func (c Config) Validate() error { panic("stub") }

// Example is one row ready for the model.
type Example struct {
	ID     string
	Inputs map[string][]float32 // modality -> tensor; missing modalities absent
	Text   string
	Target string // empty on public rows at an edge
}

// Scores of a model on test rows. Means over rows.
type Scores struct {
	RougeLsum  float64 `json:"rouge_lsum"`
	ExactMatch float64 `json:"exact_match"`
	Rows       int     `json:"rows"`
}

// Progress reports steps done within the current round's work; may be nil.
type Progress func(stage string, done, total int, loss float64)

// Delta is what an edge yields.
type Delta struct {
	Round      uint64
	Modalities []string
	Rows       int
	Public     int
	Components []adapter.Component
	Metrics    map[string]float64
}

// Input is a delta as the cloud takes it; order matters for bit-identical sums, so the caller sorts (by record CID).
type Input struct {
	ID    string // delta record CID, or any stable name
	Delta Delta
}

// Aggregate is what the cloud yields and an edge takes.
type Aggregate struct {
	Round       uint64
	Components  []Averaged
	Weights     []float64 // overall weight per input, summing to 1
	Supervision *Supervision
	Metrics     map[string]float64
}

// Averaged is one aggregated component with the inputs it came from.
type Averaged struct {
	Component adapter.Component
	Rule      string
	Inputs    []int // indices into the inputs; -1 is the cloud's own contribution
	Weights   []float64
}

// Supervision is the cloud's knowledge of the public rows.
type Supervision struct {
	IDs   []string
	Fused [][]float32
	Soft  []model.SoftTarget
}

// WriteSupervision and ReadSupervision are its blob form (safetensors).
func WriteSupervision(w io.Writer, s *Supervision) error             { panic("stub") }
func ReadSupervision(r io.Reader, limit int64) (*Supervision, error) { panic("stub") }

// Edge is one edge's learner.
type Edge struct{}

// NewEdge makes an edge with its own modalities. private has targets, public has none. stream names the node for seeding.
func NewEdge(cfg Config, base *model.Base, modalities []model.Modality, private, public []Example, share []string, stream string) (*Edge, error) {
	panic("stub")
}

// Absorb replaces own components by the aggregate's of equal name and signature and keeps its supervision.
func (e *Edge) Absorb(a *Aggregate) error { panic("stub") }

// Round runs CCL on public rows (if there is supervision) and AMT on private rows, and yields the delta.
func (e *Edge) Round(ctx context.Context, round uint64, p Progress) (*Delta, error) { panic("stub") }
func (e *Edge) Evaluate(ctx context.Context, test []Example) (Scores, error)        { panic("stub") }
func (e *Edge) Answer(ctx context.Context, rows []Example) ([]string, error)        { panic("stub") }
func (e *Edge) Params() (total, trainable int64)                                    { panic("stub") }
func (e *Edge) WriteState(w io.Writer) error                                        { panic("stub") }
func (e *Edge) ReadState(r io.Reader) error                                         { panic("stub") }

// Standalone is the comparison: the same model, seeds and number of steps on its own rows, no exchange.
type Standalone struct{}

func NewStandalone(cfg Config, base *model.Base, modalities []model.Modality, rows []Example, stepsPerRound int, stream string) (*Standalone, error) {
	panic("stub")
}
func (s *Standalone) Round(ctx context.Context, round uint64, p Progress) error    { panic("stub") }
func (s *Standalone) Evaluate(ctx context.Context, test []Example) (Scores, error) { panic("stub") }
func (s *Standalone) WriteState(w io.Writer) error                                 { panic("stub") }
func (s *Standalone) ReadState(r io.Reader) error                                  { panic("stub") }

// Cloud is a super-peer's learner: the large model, and the small one that the edges share.
type Cloud struct{}

// NewCloud: public rows have targets and all modalities. share is the federation's policy, as for NewEdge: kinds of components that are aggregated.
func NewCloud(cfg Config, large, small *model.Base, modalities []model.Modality, public []Example, share []string, stream string) (*Cloud, error) {
	panic("stub")
}

// Round aggregates (MMA), tunes small and large together (SE-CCL) and yields aggregate and supervision. Round 0 has no inputs: it only teaches.
func (c *Cloud) Round(ctx context.Context, round uint64, inputs []Input, p Progress) (*Aggregate, error) {
	panic("stub")
}
func (c *Cloud) Evaluate(ctx context.Context, test []Example) (Scores, error) { panic("stub") }
func (c *Cloud) Answer(ctx context.Context, rows []Example) ([]string, error) { panic("stub") }
func (c *Cloud) Params() (total, trainable int64)                             { panic("stub") }
func (c *Cloud) WriteState(w io.Writer) error                                 { panic("stub") }
func (c *Cloud) ReadState(r io.Reader) error                                  { panic("stub") }

// Constant scores the best constant answer, chosen on training targets, on test.
func Constant(train, test []Example) Scores { panic("stub") }
