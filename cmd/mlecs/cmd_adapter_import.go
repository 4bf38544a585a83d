package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

type adapterImportOptions struct {
	homeFlags
	json bool
}

func newAdapterImportCommand() *cobra.Command {
	o := &adapterImportOptions{}
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Let a stopped edge go on with a LoRA adapter of HuggingFace PEFT",
		Long: `Reads adapter_config.json and adapter_model.safetensors, as "mlecs adapter export" and HuggingFace PEFT write them, and makes the next
round of a stopped edge begin with that LoRA in place of its own; until then the node answers with it. The round trains it on the edge's rows
and sends it to the super-peer: the next aggregate averages it with what the others learned, and that average replaces it.

Base model, rank, alpha and the modules it is on must be those of the federation; what differs is named, and nothing is changed.
To begin a whole federation with an adapter: mlecs federation create --adapter DIR`,
		Example: `  mlecs adapter import ./adapter --home ~/kitchen
  mlecs adapter import ./adapter --node edge-1`,
		Args: oneArg("folder"),
		RunE: func(cmd *cobra.Command, args []string) error { return runAdapterImport(cmd, o, args[0]) },
	}
	o.registerInspecting(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runAdapterImport(cmd *cobra.Command, o *adapterImportOptions, dir string) error {
	h, err := o.open()
	if err != nil {
		return err
	}
	done, err := h.ImportAdapter(dir)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), done)
	}
	begins := fmt.Sprintf("round %d", done.Round)
	if done.Rounds > 0 && done.Round > done.Rounds {
		begins = fmt.Sprintf("no round: the federation's last one, %d, is trained. This node answers with the adapter, and nobody else gets it", done.Rounds)
	}
	(&page{w: cmd.OutOrStdout()}).fields(
		"adapter", done.Folder,
		"rank", fmt.Sprint(done.Rank),
		"parameters", countText(done.Params),
		"base model", strings.TrimSpace(done.Base.Name+" "+done.Base.CID),
		"begins", begins,
	)
	return nil
}
