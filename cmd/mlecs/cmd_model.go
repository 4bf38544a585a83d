package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

func newModelCommand() *cobra.Command {
	return newGroupCommand("model", "Make, import and look at base models", newModelTrainCommand(), newModelImportCommand(), newModelShowCommand())
}

// maxBaseFile bounds a base model file.
const maxBaseFile = 8 << 30

// baseModel is what the model commands tell of a base.
type baseModel struct {
	File         string `json:"file"`
	CID          string `json:"cid,omitempty"` // of a file that federations take
	Bytes        int64  `json:"bytes,omitempty"`
	Params       int64  `json:"params"`
	Architecture string `json:"architecture"`
	Layers       int    `json:"layers"`
	Dim          int    `json:"dim"`
	Heads        int    `json:"heads"`
	KVHeads      int    `json:"kv_heads,omitempty"`
	Hidden       int    `json:"hidden,omitempty"`
	Vocab        int    `json:"vocab"`
	Positions    int    `json:"positions"`
	Tokens       int    `json:"tokens"` // of the tokenizer; 0 without one
}

func describeBase(b *model.Base, path string) baseModel {
	c := b.Config
	m := baseModel{
		File: path, Params: b.Params(), Architecture: c.Family.String(), Layers: c.Layers, Dim: c.Dim, Heads: c.Heads,
		KVHeads: c.KVHeads, Hidden: c.Hidden, Vocab: c.Vocab, Positions: c.Positions,
	}
	if b.Tokenizer != nil {
		m.Tokens = b.Tokenizer.Size()
	}
	return m
}

// show prints the base, and more fields below.
func (m baseModel) show(p *page, more ...string) {
	architecture := fmt.Sprintf("%s: %d layers, width %d, %d heads, vocabulary %d, %d positions", m.Architecture, m.Layers, m.Dim, m.Heads, m.Vocab, m.Positions)
	if m.KVHeads > 0 && m.KVHeads != m.Heads {
		architecture += fmt.Sprintf(", keys shared by %d", m.Heads/m.KVHeads)
	}
	size, tokenizer := "", "none: federations need one"
	if m.Bytes > 0 {
		size = bytesText(m.Bytes)
	}
	if m.Tokens > 0 {
		tokenizer = countText(int64(m.Tokens)) + " tokens"
	}
	p.fields(append([]string{
		"base model", m.File,
		"CID", m.CID,
		"parameters", countText(m.Params),
		"size", size,
		"architecture", architecture,
		"tokenizer", tokenizer,
	}, more...)...)
}

// writeBase writes a base as the one file that federations take.
func writeBase(b *model.Base, path string) (baseModel, error) {
	var file bytes.Buffer
	if err := b.Write(&file); err != nil {
		return baseModel{}, err
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		return baseModel{}, fmt.Errorf("write base model: %w", err)
	}
	m := describeBase(b, path)
	m.CID, m.Bytes = record.BlobCID(file.Bytes()).String(), int64(file.Len())
	return m, nil
}

// noBase says that a file is no base model.
func noBase(path string, err error) error {
	return api.Advise(fmt.Errorf("%s is no base model: %w", path, err), "make one with mlecs model train, or from a HuggingFace folder with mlecs model import")
}

// readBase reads what writeBase wrote.
func readBase(path string) (*model.Base, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read base model: %w", err)
	}
	defer f.Close()
	b, err := model.ReadBase(f, maxBaseFile)
	if err != nil {
		return nil, noBase(path, err)
	}
	return b, nil
}
