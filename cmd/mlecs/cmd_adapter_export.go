package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
)

type adapterExportOptions struct {
	homeFlags
	node.ExportOptions
	format string
	json   bool
}

func newAdapterExportCommand() *cobra.Command {
	o := &adapterExportOptions{}
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write a LoRA adapter that HuggingFace PEFT loads, or its base model with it",
		Long: `Writes the newest LoRA that the node holds, which is the last aggregate's, into a new folder: adapter_config.json and
adapter_model.safetensors, as HuggingFace PEFT loads them. With --merge it writes the base model with the adapter in its weights:
config.json, model.safetensors and tokenizer.json, as Transformers loads them. The node may run or be stopped.

A base model that the federation pretrained is nowhere else: --with-base puts it beside the adapter, so that
PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("DIR/base"), "DIR") finds both.

Encoders, connector and soft prompts are not part of a PEFT adapter, and are not exported.`,
		Example: `  mlecs adapter export --format peft ./adapter --node edge-1
  mlecs adapter export --format peft ./adapter --with-base --node edge-1
  mlecs adapter export --format peft ./model --merge --node edge-1
  mlecs adapter export --format peft ./adapter --delta bafyreib --node edge-1`,
		Args: oneArg("folder"),
		RunE: func(cmd *cobra.Command, args []string) error { return runAdapterExport(cmd, o, args[0]) },
	}
	o.registerInspecting(cmd)
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "peft", "format of the adapter: peft")
	f.BoolVar(&o.Merge, "merge", false, "write the base model with the adapter in its weights, in place of the adapter")
	f.BoolVar(&o.WithBase, "with-base", false, "write the base model, too, into DIR/base, and name it as the adapter's")
	f.StringVar(&o.Delta, "delta", "", "export the LoRA of the delta whose CID is, or begins with, this")
	f.StringVar(&o.Base, "base", "", "name or path of the base model that the adapter is to say (default: the federation's name for it)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runAdapterExport(cmd *cobra.Command, o *adapterExportOptions, dir string) error {
	switch {
	case o.format != "peft":
		return usageError{fmt.Errorf("--format %q: there is only peft", o.format)}
	case o.Merge && o.WithBase:
		return usageError{errors.New("--merge writes the base model with the adapter in it: --with-base does not go with it")}
	case o.Merge && o.Base != "":
		return usageError{errors.New("--base names the base model of an adapter: it does not go with --merge")}
	}
	h, err := o.open()
	if err != nil {
		return err
	}
	src, release, err := h.Source()
	if err != nil {
		return err
	}
	defer release()
	a, files, err := node.ExportAdapter(cmd.Context(), src, dir, o.ExportOptions)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), map[string]any{"folder": dir, "files": files, "merged": o.Merge, "adapter": a})
	}
	(&page{w: cmd.OutOrStdout()}).fields(
		"adapter of", fmt.Sprintf("%s %s", a.Of, a.CID),
		"round", fmt.Sprintf("%d", a.Round),
		"base model", strings.TrimSpace(a.Base.Name+" "+a.Base.CID),
		"parameters", countText(a.Component.Params),
		"folder", dir,
		"files", strings.Join(files, ", "),
	)
	return nil
}
