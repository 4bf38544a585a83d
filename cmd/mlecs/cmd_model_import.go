package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/learn/model"
)

func newModelImportCommand() *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Make a base model of a HuggingFace folder",
		Long: `Reads a GPT-2 or Llama as HuggingFace publishes it (config.json, model.safetensors or its shards, tokenizer.json) and writes it to one
safetensors file, which federation create takes. Options, tokenizer components and tensors that are not supported are an error that
names them.`,
		Example: `  mlecs model import ./stories260K --out stories.safetensors
  mlecs federation create --name homes --data ./public --edge-base stories.safetensors`,
		Args: oneArg("folder"),
		RunE: func(cmd *cobra.Command, args []string) error { return runModelImport(cmd, args[0], out, asJSON) },
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func runModelImport(cmd *cobra.Command, dir, out string, asJSON bool) error {
	if out == "" {
		return usageError{errors.New("say where to write the model with --out FILE")}
	}
	base, err := model.ReadFolder(dir)
	if err != nil {
		return err
	}
	if base.Tokenizer == nil {
		return fmt.Errorf("%s has no tokenizer.json, and federations need a tokenizer: save it there with HuggingFace's tokenizers first", dir)
	}
	m, err := writeBase(base, out)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), m)
	}
	m.show(&page{w: cmd.OutOrStdout()})
	return nil
}
