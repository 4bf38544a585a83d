package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newDeltaLineageCommand() *cobra.Command {
	var id string
	var limit int
	i := &inspection[*api.Lineage]{
		ask:  func(ctx context.Context, s api.Source) (*api.Lineage, error) { return s.Lineage(ctx, id, limit) },
		show: showLineage,
	}
	cmd := i.command(&cobra.Command{
		Use: "lineage CID", Short: "Show what a delta or an aggregate was made from, back to the genesis",
		Long: `Shows the Merkle DAG of the delta or aggregate whose CID is, or begins with, the argument, as a tree. A record that several others were
made from is shown in full once; "(see above)" stands for it elsewhere. Blobs are counted as stored here of all. In a long-lived federation a record is made from most others: the nearest
are shown, --limit 0 shows all, back to the genesis.`,
		Example: "  mlecs delta lineage bafyreib --node edge-1\n  mlecs delta lineage bafyreib --limit 0 --json",
		Args:    oneArg("CID"),
	})
	cmd.Flags().IntVar(&limit, "limit", 100, "records to show, the nearest first; 0: all")
	inspect := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id = args[0]
		return inspect(cmd, args)
	}
	return cmd
}

func showLineage(p *page, l *api.Lineage) {
	records := make(map[string]api.LineageRecord, len(l.Records))
	for _, r := range l.Records {
		records[r.CID] = r
	}
	shown := map[string]bool{}
	type branch struct {
		cid, lead, below string // what is before the record on its line, and before its parents
	}
	for left := []branch{{cid: l.CID}}; len(left) > 0; {
		b := left[len(left)-1]
		left = left[:len(left)-1]
		r := records[b.cid]
		if r.CID == "" && l.More {
			p.line("%s%s …", b.lead, short(b.cid))
			continue
		}
		p.line("%s%s", b.lead, lineageLine(r, b.cid, shown[b.cid]))
		if shown[b.cid] {
			continue
		}
		shown[b.cid] = true
		for i := len(r.Parents) - 1; i >= 0; i-- {
			next := branch{r.Parents[i], b.below + "├─ ", b.below + "│  "}
			if i == len(r.Parents)-1 {
				next.lead, next.below = b.below+"└─ ", b.below+"   "
			}
			left = append(left, next)
		}
	}
	if l.More {
		p.line("There is more before the records that end in …: --limit 0 shows all.")
	}
}

func lineageLine(r api.LineageRecord, cid string, shown bool) string {
	switch {
	case r.Kind == "":
		return short(cid) + " is not on this node"
	case shown:
		return fmt.Sprintf("%s %s (see above)", r.Kind, short(cid))
	}
	parts := []string{r.Kind, short(cid)}
	if r.Kind != "federation" {
		parts = append(parts, fmt.Sprintf("round %d by %s, %s", r.Round, dash(r.AuthorName), ago(r.Created)))
	}
	if r.Blobs > 0 {
		parts = append(parts, fmt.Sprintf("[%d of %d blobs]", r.Stored, r.Blobs))
	}
	return strings.Join(parts, " ")
}
