package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/adapter"
)

// Files of a HuggingFace folder.
const (
	configName    = "config.json"
	tokenizerName = "tokenizer.json"
	weightsName   = "model.safetensors"
	indexName     = "model.safetensors.index.json"
)

// Limits of the files of a folder, in bytes.
const (
	maxConfigFile    = 1 << 20
	maxTokenizerFile = 64 << 20
	maxIndexFile     = 64 << 20
	maxWeightsFile   = 2 * maxBaseBytes
)

// ReadFolder reads a model as HuggingFace publishes it: config.json, model.safetensors (or its shards, which
// model.safetensors.index.json names) of F32, F16 or BF16, and tokenizer.json, without which the Base has no tokenizer. What the
// model needs and this package does not have, and tensors that are missing, of a wrong shape or too many, are errors that name
// them. Weights become float32; buffers that follow from the config are left out.
func ReadFolder(dir string) (*Base, error) {
	b, err := readFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("read model folder %s: %w", dir, err)
	}
	return b, nil
}

func readFolder(dir string) (*Base, error) {
	b := &Base{Tensors: make(map[string]adapter.Tensor)}
	raw, err := readLimited(filepath.Join(dir, configName), maxConfigFile)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &b.Config); err != nil {
		return nil, fmt.Errorf("%s: %w", configName, err)
	}
	if err := b.Config.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", configName, err)
	}
	if b.Tokenizer, err = readTokenizer(dir, raw); err != nil {
		return nil, err
	}
	if err := b.readWeights(dir); err != nil {
		return nil, err
	}
	b.canonical()
	if err := b.untie(); err != nil {
		return nil, err
	}
	return b, b.Validate()
}

// readTokenizer reads tokenizer.json, if there is one, and lets the config's eos_token_id say which token ends a text.
func readTokenizer(dir string, config []byte) (*Tokenizer, error) {
	raw, err := readLimited(filepath.Join(dir, tokenizerName), maxTokenizerFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := decodeTokenizer(raw, endOf(config))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerName, err)
	}
	return t, nil
}

// endOf is the eos_token_id of a config.json, the first of several, or -1.
func endOf(config []byte) int {
	var c struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	if json.Unmarshal(config, &c) != nil {
		return -1
	}
	var id *int
	var ids []int
	switch {
	case json.Unmarshal(c.EOS, &id) == nil && id != nil:
		return *id
	case json.Unmarshal(c.EOS, &ids) == nil && len(ids) > 0:
		return ids[0]
	}
	return -1
}

// readWeights fills in the tensors.
func (b *Base) readWeights(dir string) error {
	tensors, err := readShard(dir, weightsName)
	if err == nil {
		for _, t := range tensors {
			b.Tensors[t.Name] = t
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	raw, err := readLimited(filepath.Join(dir, indexName), maxIndexFile)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is neither %s nor %s; other formats (pytorch_model.bin) must be converted to safetensors first", weightsName, indexName)
	}
	if err != nil {
		return err
	}
	shards, err := decodeIndex(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", indexName, err)
	}
	for _, s := range shards {
		tensors, err := readShard(dir, s.file)
		if err != nil {
			return err
		}
		for _, t := range tensors {
			if _, listed := slices.BinarySearch(s.tensors, t.Name); !listed {
				return fmt.Errorf("%s has tensor %s %v, which %s does not place there", s.file, t.Name, t.Shape, indexName)
			}
			b.Tensors[t.Name] = t
		}
		for _, name := range s.tensors {
			if _, ok := b.Tensors[name]; !ok && !isBuffer(name) {
				return fmt.Errorf("%s lacks tensor %s, which %s places there", s.file, name, indexName)
			}
		}
	}
	return nil
}

// shard is one file of the weights, with its tensors in name order.
type shard struct {
	file    string
	tensors []string
}

// decodeIndex reads model.safetensors.index.json. Shards come in name order.
func decodeIndex(raw []byte) ([]shard, error) {
	var index struct {
		Files map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, err
	}
	if len(index.Files) == 0 {
		return nil, errors.New("weight_map names no tensors")
	}
	files := make(map[string][]string)
	for name, file := range index.Files {
		if file != filepath.Base(file) || !strings.HasSuffix(file, ".safetensors") || strings.ContainsAny(file, `/\`) {
			return nil, fmt.Errorf("tensor %s is in %q, which is not the name of a safetensors file of the folder", name, file)
		}
		files[file] = append(files[file], name)
	}
	var all []shard
	for file, tensors := range files {
		slices.Sort(tensors)
		all = append(all, shard{file, tensors})
	}
	slices.SortFunc(all, func(a, b shard) int { return strings.Compare(a.file, b.file) })
	return all, nil
}

func readShard(dir, name string) ([]adapter.Tensor, error) {
	f, size, err := openLimited(filepath.Join(dir, name), maxWeightsFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tensors, _, err := adapter.ReadTensorsExcept(f, size, isBuffer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return tensors, nil
}

// isBuffer says whether a tensor holds nothing that the config does not say: causal masks and rotary frequencies, which older
// versions of HuggingFace's library wrote with the weights.
func isBuffer(name string) bool {
	for _, suffix := range []string{".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// canonical puts GPT-2's prefix before the names of a checkpoint that was written without the head.
func (b *Base) canonical() {
	const prefix = "transformer."
	if b.Config.Family != GPT2 || len(b.Tensors) == 0 {
		return
	}
	for name := range b.Tensors {
		if strings.HasPrefix(name, prefix) {
			return
		}
	}
	renamed := make(map[string]adapter.Tensor, len(b.Tensors))
	for name, t := range b.Tensors {
		if name != "lm_head.weight" {
			t.Name = prefix + name
		}
		renamed[t.Name] = t
	}
	b.Tensors = renamed
}

// untie drops a stored head that the config ties to the token embedding, if it is equal to it.
func (b *Base) untie() error {
	const head = "lm_head.weight"
	n := b.Config.arch().names()
	stored, ok := b.Tensors[head]
	if !ok || n.head == head {
		return nil
	}
	if !slices.Equal(stored.Data, b.Tensors[n.tokens].Data) {
		return fmt.Errorf("tensor %s %v differs from %s, to which tie_word_embeddings ties it", head, stored.Shape, n.tokens)
	}
	delete(b.Tensors, head)
	return nil
}

// readLimited reads a whole file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, size, err := openLimited(path, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, size))
}

// openLimited opens a regular file of at most limit bytes.
func openLimited(path string, limit int64) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", path)
	case info.Size() > limit:
		err = fmt.Errorf("%s has %d bytes; at most %d are read", path, info.Size(), limit)
	default:
		return f, info.Size(), nil
	}
	f.Close()
	return nil, 0, err
}
