package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mlecs/mlecs/learn/adapter"
)

// WriteFolder writes the base to an existing folder as HuggingFace publishes models: config.json, model.safetensors (F32) and, if
// there is a tokenizer, tokenizer.json. ReadFolder reads it back.
func (b *Base) WriteFolder(dir string) error {
	if err := b.writeFolder(dir); err != nil {
		return fmt.Errorf("write model folder %s: %w", dir, err)
	}
	return nil
}

func (b *Base) writeFolder(dir string) error {
	if err := errors.Join(b.checkWhole(), b.Validate()); err != nil {
		return err
	}
	config, err := b.folderConfig()
	if err != nil {
		return fmt.Errorf("encode the config: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, configName), config, 0o644); err != nil {
		return err
	}
	if b.Tokenizer != nil {
		raw, err := json.Marshal(b.Tokenizer)
		if err != nil {
			return fmt.Errorf("encode the tokenizer: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, tokenizerName), raw, 0o644); err != nil {
			return err
		}
	}
	var weights bytes.Buffer
	if err := adapter.WriteTensors(&weights, b.list(), map[string]string{metaFormat: "pt"}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, weightsName), weights.Bytes(), 0o644)
}

// folderConfig is config.json with what other programs want to know of a folder.
func (b *Base) folderConfig() ([]byte, error) {
	raw, err := json.Marshal(b.Config)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]any)
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	fields["model_type"] = b.Config.Family.String()
	fields["architectures"] = []string{map[Family]string{GPT2: "GPT2LMHeadModel", Llama: "LlamaForCausalLM"}[b.Config.Family]}
	fields["torch_dtype"] = "float32"
	if b.Tokenizer != nil {
		fields["eos_token_id"] = b.Tokenizer.End()
		if begin := b.Tokenizer.Begin(); len(begin) > 0 {
			fields["bos_token_id"] = begin[0]
		}
	}
	return json.MarshalIndent(fields, "", "  ")
}

// list gives the tensors in the order of the config.
func (b *Base) list() []adapter.Tensor {
	var all []adapter.Tensor
	for _, t := range b.Config.tensors() {
		all = append(all, b.Tensors[t.name])
	}
	return all
}
