package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/testnet/sim"
)

// simSizes are the federations that a larger one is compared with.
var simSizes = []int{50, 200, 500, 1000}

func newTestnetSimCommand() *cobra.Command {
	o := sim.Defaults()
	var alone bool
	var file string
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run the network stack of many nodes in this process, on a simulated network",
		Long: `Runs the network part of N nodes (membership, gossip, sync, stores; nothing of learning) in this process, on links with a latency and in virtual time,
publishes records, and tells whether each reached every node, how long that took, and what it cost a node in bytes and in time of this machine.
Federations of 50, 200, 500 and 1,000 nodes below N are measured too, and the growth of each figure is fitted; --alone measures N only.
1,000 nodes take some GiB of memory and some minutes. It fails if a record did not reach every node.`,
		Example: "  mlecs testnet sim --nodes 50\n  mlecs testnet sim --nodes 1000 --seed 3 --json sim.json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sizes := []int{o.Nodes}
			for _, n := range simSizes {
				if n < o.Nodes && !alone {
					sizes = append(sizes, n)
				}
			}
			slices.Sort(sizes)
			report := simReport{Seed: o.Seed, LatencyMillis: float64(o.Latency) / 1e6, Records: o.Records}
			for _, n := range sizes {
				each := o
				each.Nodes = n
				r, err := sim.Run(cmd.Context(), each)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "%d nodes: %.0f s\n", n, r.WallSeconds)
				report.Results = append(report.Results, r)
			}
			report.Growth = sim.Fit(report.Results)
			return report.show(cmd, file)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Nodes, "nodes", o.Nodes, "nodes of the largest federation")
	f.BoolVar(&alone, "alone", false, "measure no smaller federations")
	f.IntVar(&o.Records, "records", o.Records, "records to publish in each")
	f.DurationVar(&o.Latency, "latency", o.Latency, "of a link, one way")
	f.IntVar(&o.Members, "members", o.Members, "members that a node wants to be connected to")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of keys, acquaintances and publishers")
	f.StringVar(&file, "json", "", "write the result as JSON to this file; - is the standard output")
	return cmd
}

// simReport is what `testnet sim` writes as JSON.
type simReport struct {
	Seed          uint64        `json:"seed"`
	LatencyMillis float64       `json:"latency_ms"`
	Records       int           `json:"records"`
	Results       []*sim.Result `json:"results"`
	Growth        *sim.Growth   `json:"growth,omitempty"`
}

func (r *simReport) show(cmd *cobra.Command, file string) error {
	if file == "-" {
		if err := printJSON(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	} else {
		r.print(&page{w: cmd.OutOrStdout()})
	}
	if file != "" && file != "-" {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	}
	for _, s := range r.Results {
		if !s.Complete {
			return errors.New("a record did not reach every node")
		}
	}
	return nil
}

func (r *simReport) print(p *page) {
	var rows []table.Row
	for _, s := range r.Results {
		least := s.Nodes
		for _, n := range s.Reached {
			least = min(least, n)
		}
		rows = append(rows, table.Row{
			s.Nodes, fmt.Sprintf("%d of %d", least, s.Nodes), fmt.Sprintf("%.0f", s.MedianMillis), fmt.Sprintf("%.0f", s.WorstMillis),
			fmt.Sprintf("%.0f", s.GossipBytes), fmt.Sprintf("%.0f", s.WireBytes/1024), fmt.Sprintf("%.1f", s.MeanMembers),
			fmt.Sprintf("%.0f", s.WallMillis), fmt.Sprintf("%.0f", s.ProcessMillis),
		})
	}
	p.list(table.Row{"nodes", "reached", "median ms", "last ms", "B/record", "KiB/node", "members", "wall ms/node", "cpu ms/node"}, rows, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, "")
	if g := r.Growth; g != nil {
		p.line("")
		p.line("Growth as a power of the nodes: latency %.2f (%.0f ms for ten times the nodes), bytes of a record %.2f, bytes in all %.2f, wall time per node %.2f, processor time per node %.2f.",
			g.Latency, g.PerTenfold, g.Gossip, g.Wire, g.Wall, g.Process)
		p.line("A node of the largest federation takes %.2f times the wall time, and %.2f times the processor time, of one of the smallest.", g.WallRatio, g.ProcessRatio)
	}
}
