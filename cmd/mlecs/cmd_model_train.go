package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

type modelTrainOptions struct {
	text, data, out, tokenizer string
	size, architecture         string
	backbone                   method.Backbone
	positions, vocab           int
	pretrain                   model.PretrainOptions
	json                       bool
}

// sizes are the architectures that have a name.
var sizes = map[string]method.Backbone{"small": method.SmallBackbone(), "large": method.LargeBackbone()}

// Limits of what is read for pretraining.
const (
	maxTextLine = 1 << 20
	maxTexts    = 10_000_000
)

func newModelTrainCommand() *cobra.Command {
	o := &modelTrainOptions{}
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Pretrain a base model and its BPE tokenizer",
		Long: `Pretrains a GPT-2 or Llama from a text file (one document a line) or from the training targets of a data set, and writes it to one safetensors
file with its tokenizer. The small and the large model of one federation need one tokenizer: train the second with --tokenizer FIRST.`,
		Example: `  mlecs model train --data ./rows --size small --out small.safetensors
  mlecs model train --data ./rows --size large --tokenizer small.safetensors --out large.safetensors`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runModelTrain(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.text, "text", "", "text file, one document a line")
	f.StringVar(&o.data, "data", "", "data set folder; its training targets are the text")
	f.StringVar(&o.out, "out", "", "file to write (required)")
	f.StringVar(&o.tokenizer, "tokenizer", "", "base model file whose tokenizer is taken (default: a new one is trained)")
	f.StringVar(&o.size, "size", "small", "small (edges) or large (super-peers)")
	f.StringVar(&o.architecture, "architecture", model.GPT2.String(), "gpt2 or llama")
	f.IntVar(&o.backbone.Layers, "layers", 0, "transformer blocks (default: by size)")
	f.IntVar(&o.backbone.Dim, "dim", 0, "width (default: by size)")
	f.IntVar(&o.backbone.Heads, "heads", 0, "attention heads (default: by size)")
	f.IntVar(&o.positions, "positions", 0, "longest sequence in tokens (default: by size)")
	f.IntVar(&o.vocab, "vocab", 512, "largest vocabulary of a new tokenizer, 256 bytes included")
	f.IntVar(&o.pretrain.Steps, "steps", 300, "steps of AdamW")
	f.IntVar(&o.pretrain.Batch, "batch", 16, "documents a step")
	f.Float64Var(&o.pretrain.LR, "lr", 3e-3, "learning rate")
	f.Uint64Var(&o.pretrain.Seed, "seed", 1, "seed of weights and batches")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runModelTrain(cmd *cobra.Command, o *modelTrainOptions) error {
	form, ok := sizes[o.size]
	switch {
	case !ok:
		return usageError{fmt.Errorf("--size %q: use small or large", o.size)}
	case o.architecture != model.GPT2.String() && o.architecture != model.Llama.String():
		return usageError{fmt.Errorf("--architecture %q: use %v or %v", o.architecture, model.GPT2, model.Llama)}
	case o.out == "":
		return usageError{errors.New("say where to write the model with --out FILE")}
	case (o.text == "") == (o.data == ""):
		return usageError{errors.New("give either --text FILE or --data DIR")}
	}
	form.Architecture = o.architecture
	for _, x := range []struct{ to, from *int }{
		{&form.Layers, &o.backbone.Layers}, {&form.Dim, &o.backbone.Dim}, {&form.Heads, &o.backbone.Heads},
	} {
		if *x.from != 0 {
			*x.to = *x.from
		}
	}
	if form.Heads < 1 || form.Dim%form.Heads != 0 {
		return usageError{fmt.Errorf("--dim %d cannot be divided by --heads %d", form.Dim, form.Heads)}
	}
	if _, err := os.Stat(filepath.Dir(o.out)); err != nil { // before the work begins
		return fmt.Errorf("write base model: %w", err)
	}
	texts, err := trainingTexts(o)
	if err != nil {
		return err
	}
	tok, err := chooseTokenizer(o, texts)
	if err != nil {
		return err
	}
	cfg, err := form.Config(tok.Size())
	if err != nil {
		return err
	}
	if o.positions != 0 {
		cfg.Positions = o.positions
	}
	p := newProgress(cmd.ErrOrStderr())
	var last float64
	o.pretrain.Progress = func(step, steps int, loss float64) {
		last = loss
		p.update("pretraining", int64(step), int64(steps))
	}
	base, err := model.Pretrain(cmd.Context(), cfg, tok, texts, o.pretrain)
	p.close()
	if err != nil {
		return err
	}
	m, err := writeBase(base, o.out)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), struct {
			baseModel
			Loss      float64 `json:"loss"`
			Documents int     `json:"documents"`
		}{m, last, len(texts)})
	}
	m.show(&page{w: cmd.OutOrStdout()},
		"trained on", fmt.Sprintf("%s documents", countText(int64(len(texts)))),
		"last loss", fmt.Sprintf("%.3f nats a token", last),
	)
	return nil
}

// trainingTexts reads the documents to train on.
func trainingTexts(o *modelTrainOptions) ([]string, error) {
	var texts []string
	if o.data != "" {
		set, err := data.Open(o.data)
		if err != nil {
			return nil, err
		}
		for _, r := range set.Training() {
			if r.Target != "" {
				texts = append(texts, r.Target)
			}
		}
	} else {
		f, err := os.Open(o.text)
		if err != nil {
			return nil, fmt.Errorf("read text: %w", err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, maxTextLine)
		for n := 1; lines.Scan(); n++ {
			if len(texts) == maxTexts {
				return nil, fmt.Errorf("read text: %s has more than %d lines", o.text, maxTexts)
			}
			if line := strings.TrimSpace(lines.Text()); line != "" {
				texts = append(texts, line)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read text: %s, after line %d: %w", o.text, len(texts), err)
		}
	}
	if len(texts) == 0 {
		return nil, errors.New("there is no text to train on: give a file with one document a line, or a data set with targets")
	}
	return texts, nil
}

func chooseTokenizer(o *modelTrainOptions, texts []string) (*model.Tokenizer, error) {
	if o.tokenizer == "" {
		return model.TrainTokenizer(texts, o.vocab)
	}
	base, err := readBase(o.tokenizer)
	if err != nil {
		return nil, err
	}
	return base.Tokenizer, nil
}
