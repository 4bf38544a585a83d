package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/storage/record"
)

func newModelShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show FILE|DIR",
		Short:   "Show a base model: architecture, parameters, tokenizer and CID",
		Long:    "Reads a base model file or a HuggingFace folder, checks it, and shows what it is.",
		Example: "  mlecs model show small.safetensors",
		Args:    oneArg("file or folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := inspectBase(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), m)
			}
			m.show(&page{w: cmd.OutOrStdout()})
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// inspectBase reads a base model file or a HuggingFace folder.
func inspectBase(path string) (baseModel, error) {
	info, err := os.Stat(path)
	if err != nil {
		return baseModel{}, fmt.Errorf("read base model: %w", err)
	}
	if info.IsDir() {
		b, err := model.ReadFolder(path)
		if err != nil {
			return baseModel{}, err
		}
		return describeBase(b, path), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return baseModel{}, fmt.Errorf("read base model: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxBaseFile))
	if err != nil {
		return baseModel{}, fmt.Errorf("read base model %s: %w", path, err)
	}
	b, err := model.ReadBase(bytes.NewReader(raw), maxBaseFile)
	if err != nil {
		return baseModel{}, noBase(path, err)
	}
	m := describeBase(b, path)
	m.CID, m.Bytes = record.BlobCID(raw).String(), int64(len(raw))
	return m, nil
}
