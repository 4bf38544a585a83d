// Package model is the multimodal model of one node: encoders per modality, connector, soft prompts, and a frozen
// GPT-2 backbone with LoRA, on Gorgonia with the fused ops of learn/op.
package model

import (
	"context"
	"io"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Config is a GPT-2 architecture (HuggingFace names in comments).
type Config struct {
	Layers    int     `json:"n_layer"`
	Dim       int     `json:"n_embd"`
	Heads     int     `json:"n_head"`
	Vocab     int     `json:"vocab_size"`
	Positions int     `json:"n_positions"`
	Eps       float64 `json:"layer_norm_epsilon"`
}

// Base is a frozen backbone with its tokenizer. One blob: safetensors with HF tensor names, config and tokenizer in the metadata.
type Base struct {
	Config    Config
	Tensors   map[string]adapter.Tensor // HF names: transformer.wte.weight, transformer.h.0.attn.c_attn.weight [in,out], ...
	Tokenizer *Tokenizer
}

func (b *Base) Params() int64                          { panic("stub") }
func (b *Base) Write(w io.Writer) error                { panic("stub") }
func ReadBase(r io.Reader, limit int64) (*Base, error) { panic("stub") }

// PretrainOptions of Pretrain.
type PretrainOptions struct {
	Steps, Batch int
	LR           float64
	Seed         uint64
	Progress     func(step, steps int, loss float64) // may be nil
}

// Pretrain trains all weights of a new backbone on texts (one document each, ended by the end-of-text token).
func Pretrain(ctx context.Context, cfg Config, tok *Tokenizer, texts []string, opt PretrainOptions) (*Base, error) {
	panic("stub")
}

// Modality is one input of the model.
type Modality struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`  // image [C,H,W], audio [1,mels,frames], series [C,T], text [features]
	Shape []int  `json:"shape"` // of one row
}

// Spec is the structure of one node's model around its base.
type Spec struct {
	Modalities []Modality `json:"modalities"`
	Width      int        `json:"width"`      // encoder channels; default 16
	Projection int        `json:"projection"` // 64
	Fused      int        `json:"fused"`      // 256
	Prompt     int        `json:"prompt"`     // soft-prompt tokens, 8
	Rank       int        `json:"rank"`       // LoRA r 8
	Alpha      float64    `json:"alpha"`      // 16
	Dropout    float64    `json:"dropout"`    // connector 0.1
	LoRADrop   float64    `json:"lora_dropout"`
	Targets    []string   `json:"targets"` // LoRA targets: attn.c_attn, attn.c_proj
}

// Batch is up to a fixed number of rows. Token slices may differ in length; the model pads.
type Batch struct {
	Inputs map[string][][]float32 // modality -> per row, flat, in Modality.Shape; a nil row means the modality is missing (zeros)
	Text   [][]int                // text prompt per row, may be nil
	Target [][]int                // target ids per row, end-of-text included; nil: no LM loss
	Soft   []SoftTarget           // per row; nil: no soft-target loss. Uses its own IDs as the decoded sequence
	Anchor [][]float32            // super-peer's fused representation per row; nil: no contrastive loss
	Labels []int                  // rows with equal labels >= 0 are not negatives of each other; nil: instance contrast
}

// SoftTarget is a teacher's answer to one row: its decoded ids and per id the top-k log-probabilities.
type SoftTarget struct {
	IDs    []int       // end-of-text included
	TopIDs [][]int     // [len(IDs)][k]
	TopLog [][]float32 // natural log, of the teacher's softmax
}

// Objective weighs the parts of the loss of one step.
type Objective struct {
	LM, Soft, Contrast float64
	Kind               string  // contrast: "gram" or "similarity"
	Tau                float64 // gram temperature 0.07
	LR, Decay          float64 // AdamW
	Clip               float64 // global gradient norm; 0 = none
}

// Loss of one step, each part before its weight; NaN-free.
type Loss struct{ Total, LM, Soft, Contrast float64 }

// Model is one node's model. Not safe for concurrent use. A seed makes it deterministic.
type Model struct{}

// New builds a model on base (shared, never written); weights and dropout come from seed.
func New(base *Base, spec Spec, seed uint64) (*Model, error) { panic("stub") }

func (m *Model) Spec() Spec { panic("stub") }

// Params counts all parameters and the trainable ones.
func (m *Model) Params() (total, trainable int64) { panic("stub") }

// Step is one optimiser step on b. Graphs are kept per batch shape. step seeds the dropout.
func (m *Model) Step(b Batch, o Objective, seed uint64) (Loss, error) { panic("stub") }

// Fuse gives the fused representation of every row (no dropout), rows x Spec.Fused.
func (m *Model) Fuse(b Batch) ([][]float32, error) { panic("stub") }

// Generate decodes greedily at most max tokens a row; ids without the end-of-text token.
func (m *Model) Generate(b Batch, max int) ([][]int, error) { panic("stub") }

// Answer decodes greedily and gives the top-k log-probabilities along the decoded sequence: the model as a teacher.
func (m *Model) Answer(b Batch, max, k int) ([]SoftTarget, error) { panic("stub") }

// Components are deep copies of the trainable parts: "lora", "encoder/<modality>" (with its projection) and "connector/<m1+m2>".
func (m *Model) Components() []adapter.Component { panic("stub") }

// SetComponent replaces the tensors of the component with c's name; an error names what differs.
func (m *Model) SetComponent(c adapter.Component) error { panic("stub") }

// WriteState and ReadState hold everything a restart needs (components and optimiser moments), as safetensors.
func (m *Model) WriteState(w io.Writer) error { panic("stub") }
func (m *Model) ReadState(r io.Reader) error  { panic("stub") }
