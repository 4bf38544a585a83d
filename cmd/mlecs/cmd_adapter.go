package main

import "github.com/spf13/cobra"

func newAdapterCommand() *cobra.Command {
	return newGroupCommand("adapter", "Take LoRA adapters out for other programs, and in", newAdapterExportCommand(), newAdapterImportCommand())
}
