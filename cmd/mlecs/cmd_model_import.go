package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/learn/model"
)

func newModelImportCommand() *cobra.Command {
	var out, end string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Make a base model of a HuggingFace folder",
		Long: `Reads a GPT-2 or Llama as HuggingFace publishes it (config.json, model.safetensors or its shards, tokenizer.json) and writes it to one
safetensors file, which federation create takes. Options, tokenizer components and tensors that are not supported are an error that
names them.`,
		Example: `  mlecs model import ./stories260K --out stories.safetensors --end '<s>'
  mlecs federation create --name homes --data ./public --edge-base stories.safetensors`,
		Args: oneArg("folder"),
		RunE: func(cmd *cobra.Command, args []string) error { return runModelImport(cmd, args[0], out, end, asJSON) },
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write (required)")
	cmd.Flags().StringVar(&end, "end", "", "token that ends a text (default: the config's eos_token_id)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func runModelImport(cmd *cobra.Command, dir, out, end string, asJSON bool) error {
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
	if end != "" {
		if base.Tokenizer, err = base.Tokenizer.WithEnd(end); err != nil {
			return usageError{fmt.Errorf("--end %q: %w", end, err)}
		}
	}
	if twins := base.TwinsOfEnd(); twins > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the model cannot tell its end-of-text token from %d others, which it hardly saw in training:\n"+
			"         answers may never end; name the token that does separate its texts with --end\n", twins)
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
