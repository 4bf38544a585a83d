package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/kernel"
)

// Base is a frozen backbone with its tokenizer. As a file it is one safetensors blob with HuggingFace's tensor names, and
// config and tokenizer as JSON in the metadata. It is shared between models and never written.
type Base struct {
	Config    Config
	Tensors   map[string]adapter.Tensor // by their names and in their shapes in HuggingFace's files of the family
	Tokenizer *Tokenizer

	stored    frozen // the matrices, if not in Tensors: see Stored
	digest    string // of what was stored
	preparing sync.Once
	prepared  frozen // see weights
}

// Keys of the file's metadata.
const (
	metaFormat    = "format"
	metaConfig    = "config"
	metaTokenizer = "tokenizer"

	baseFormat = "mlecs-base-1"
)

// Params counts the elements of all tensors.
func (b *Base) Params() int64 {
	var n int64
	for _, t := range b.Tensors {
		n += named{t.Name, t.Shape}.size()
	}
	return n
}

// Validate checks that the tensors are those of the Config, finite, and that every token has an embedding.
func (b *Base) Validate() error {
	if err := b.Config.Validate(); err != nil {
		return err
	}
	want := b.Config.tensors()
	var missing, extra []named
	known := make(map[string]bool, len(want))
	for _, w := range want {
		known[w.name] = true
		if _, ok := b.Tensors[w.name]; !ok {
			missing = append(missing, w)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Tensors)) {
		if !known[name] {
			extra = append(extra, named{name, b.Tensors[name].Shape})
		}
	}
	switch {
	case len(missing) > 0 && len(extra) > 0:
		return fmt.Errorf("missing: %s; and not of a %v of %d layers: %s", listed(missing), b.Config.Family, b.Config.Layers, listed(extra))
	case len(missing) > 0:
		return fmt.Errorf("missing: %s", listed(missing))
	case len(extra) > 0:
		return fmt.Errorf("not of a %v of %d layers: %s", b.Config.Family, b.Config.Layers, listed(extra))
	}
	for _, w := range want {
		t := b.Tensors[w.name]
		if b.stored[w.name] != nil {
			continue // was checked before it was stored
		}
		if !slices.Equal(t.Shape, w.shape) || int64(len(t.Data)) != w.size() {
			return fmt.Errorf("tensor %s has shape %v and %d values, the config wants %v", w.name, t.Shape, len(t.Data), w.shape)
		}
		for i, v := range t.Data {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return fmt.Errorf("tensor %s: value %d is %v", w.name, i, v)
			}
		}
	}
	if b.Tokenizer != nil && b.Tokenizer.Size() > b.Config.Vocab {
		return fmt.Errorf("the tokenizer has %d tokens, the config's vocab_size is %d", b.Tokenizer.Size(), b.Config.Vocab)
	}
	return nil
}

// listed names tensors in an error, not all of very many.
func listed(tensors []named) string {
	const most = 8
	var all []string
	for _, t := range tensors[:min(len(tensors), most)] {
		all = append(all, fmt.Sprintf("tensor %s %v", t.name, t.shape))
	}
	if rest := len(tensors) - most; rest > 0 {
		all = append(all, fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(all, ", ")
}

// Write encodes the base; equal bases give equal bytes.
func (b *Base) Write(w io.Writer) error {
	if err := errors.Join(b.checkWhole(), b.Validate()); err != nil {
		return fmt.Errorf("write base: %w", err)
	}
	if b.Tokenizer == nil {
		return fmt.Errorf("write base: it has no tokenizer")
	}
	config, err := json.Marshal(b.Config)
	if err != nil {
		return fmt.Errorf("write base: encode the config: %w", err)
	}
	tokenizer, err := json.Marshal(b.Tokenizer)
	if err != nil {
		return fmt.Errorf("write base: encode the tokenizer: %w", err)
	}
	err = adapter.WriteTensors(w, b.list(), map[string]string{
		metaFormat: baseFormat, metaConfig: string(config), metaTokenizer: string(tokenizer),
	})
	if err != nil {
		return fmt.Errorf("write base: %w", err)
	}
	return nil
}

// ReadBase decodes what Write wrote, from at most limit bytes, and validates it.
func ReadBase(r io.Reader, limit int64) (*Base, error) {
	all, meta, err := adapter.ReadTensors(r, limit)
	if err != nil {
		return nil, fmt.Errorf("read base: %w", err)
	}
	if meta[metaFormat] != baseFormat {
		return nil, fmt.Errorf("read base: the file's format is %q, want %q", meta[metaFormat], baseFormat)
	}
	b := &Base{Tensors: make(map[string]adapter.Tensor, len(all)), Tokenizer: new(Tokenizer)}
	if err := json.Unmarshal([]byte(meta[metaConfig]), &b.Config); err != nil {
		return nil, fmt.Errorf("read base: config: %w", err)
	}
	if err := json.Unmarshal([]byte(meta[metaTokenizer]), b.Tokenizer); err != nil {
		return nil, fmt.Errorf("read base: tokenizer: %w", err)
	}
	for _, t := range all {
		b.Tensors[t.Name] = t
	}
	if err := b.Validate(); err != nil {
		return nil, fmt.Errorf("read base: %w", err)
	}
	return b, nil
}

// TwinsOfEnd counts the tokens that the head cannot tell from the end of text, because their rows point the same way. Tokens that
// a model never saw in training are like that. If the end of text is one of them, the frozen base shares its probability among
// them all, and no LoRA teaches it to end an answer.
func (b *Base) TwinsOfEnd() int {
	if b.Tokenizer == nil {
		return 0
	}
	dim := b.Config.Dim
	head := b.whole(b.Config.arch().names().head).Data
	row := func(id int) []float32 { return head[id*dim:][:dim] }
	end := row(b.Tokenizer.End())
	length := kernel.Dot(end, end)
	twins := 0
	for id := range b.Config.Vocab {
		r := row(id)
		if id != b.Tokenizer.End() && kernel.Dot(r, end) >= 0.999*float32(math.Sqrt(float64(length)*float64(kernel.Dot(r, r)))) {
			twins++
		}
	}
	return twins
}

// Merged is the base with an adapter's updates added to its weights: given the same soft prompts, it answers as a model with that
// LoRA does. What the adapter does not tune is shared with b. Adapters of another structure are errors that wrap
// adapter.ErrStructure.
func (b *Base) Merged(p *adapter.PEFT) (*Base, error) {
	if p.FanInFanOut != (b.Config.Family == GPT2) { // square weights would not tell
		return nil, fmt.Errorf("merge: fan_in_fan_out is %v, the base is a %v: %w", p.FanInFanOut, b.Config.Family, adapter.ErrStructure)
	}
	tuned, err := p.Merge(func(name string) (adapter.Tensor, bool) {
		_, ok := b.Tensors[name]
		return b.whole(name), ok
	})
	if err != nil {
		return nil, err
	}
	merged := &Base{Config: b.Config, Tokenizer: b.Tokenizer, Tensors: maps.Clone(b.Tensors)}
	for name := range b.stored {
		merged.Tensors[name] = b.whole(name)
	}
	for _, t := range tuned {
		merged.Tensors[t.Name] = t
	}
	return merged.Stored(b.DType()), nil
}

// Digest names the weights: LoRA of different bases must not be averaged.
func (b *Base) Digest() string {
	if b.digest != "" {
		return b.digest
	}
	h := sha256.New()
	raw := make([]byte, 0, 1<<16)
	for _, name := range slices.Sorted(maps.Keys(b.Tensors)) {
		t := b.Tensors[name]
		fmt.Fprintf(h, "%q %v\n", name, t.Shape)
		for part := range slices.Chunk(t.Data, cap(raw)/4) {
			raw = raw[:0]
			for _, v := range part {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
			}
			h.Write(raw)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
