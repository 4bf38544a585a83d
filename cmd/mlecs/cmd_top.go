package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/cmd/mlecs/top"
	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet"
)

func newTopCommand() *cobra.Command {
	f := &homeFlags{}
	var once, asJSON bool
	cmd := &cobra.Command{
		Use: "top", Short: "Watch running nodes in a full-screen view", Args: noArgs,
		Long: `Shows what every node is at, its steps and bytes a second, and of a chosen one the learning curves, rounds, peers and events, as they
come; ? lists the keys, q quits. It follows the node of --home, --node or --address; without them the one in the default home or, if none
runs there, all nodes of the testnet (of --out). With --once it prints one picture and ends, which needs no terminal.`,
		Example: "  mlecs top\n  mlecs top --node edge-1\n  mlecs top --once --out ./tn",
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := f.followed()
			if err != nil {
				return err
			}
			if once || asJSON {
				return glance(cmd, nodes, asJSON)
			}
			if !isTerminal(cmd.OutOrStdout()) {
				return api.Advise(errors.New("the full-screen view needs a terminal"), "print one picture with mlecs top --once, or follow events with mlecs watch")
			}
			return top.Run(cmd.Context(), nodes)
		},
	}
	f.registerAsking(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "print one picture, and end")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one picture as JSON, and end")
	return cmd
}

// followed are the chosen node, or all of a testnet.
func (f *homeFlags) followed() ([]top.Node, error) {
	remote, err := f.isRemote()
	if err != nil {
		return nil, err
	}
	one := func(name string, h homeFlags) top.Node {
		return top.Node{Name: name, Dial: func(ctx context.Context) (top.Source, error) { return h.dial(ctx) }}
	}
	switch {
	case remote:
		return []top.Node{one(f.remote.Address, *f)}, nil
	case f.node != "" || f.home != "":
		dir, err := f.dir()
		if err != nil {
			return nil, err
		}
		return []top.Node{one(f.node+f.home, homeFlags{home: dir})}, nil
	case f.out == "":
		home := node.DefaultHome()
		if c, err := api.Dial(home); err == nil {
			c.Close()
			return []top.Node{one(home, homeFlags{home: home})}, nil
		}
	}
	t, err := testnet.OpenFolder(testnetFolder(f.out))
	if err != nil {
		if f.out == "" {
			return nil, api.Advise(fmt.Errorf("%w on %s, and there is no testnet", api.ErrNotRunning, node.DefaultHome()), "start a node with mlecs start, or a testnet with mlecs testnet up")
		}
		return nil, err
	}
	var nodes []top.Node
	for _, m := range t.Members {
		nodes = append(nodes, one(m.Name, homeFlags{home: m.Home}))
	}
	return nodes, nil
}

// picture is one node at one moment.
type picture struct {
	Name   string      `json:"name"`
	Error  string      `json:"error"` // why it does not answer
	Status *api.Status `json:"status"`
	Scores *api.Scores `json:"scores"`
}

// glance asks every node once.
func glance(cmd *cobra.Command, nodes []top.Node, asJSON bool) error {
	pictures, answers := make([]picture, len(nodes)), 0
	for i, n := range nodes {
		p := &pictures[i]
		p.Name = n.Name
		err := look(cmd.Context(), n, p)
		if err != nil && len(nodes) == 1 {
			return err
		}
		if err != nil {
			p.Error = err.Error()
			continue
		}
		answers++
	}
	if answers == 0 {
		return api.Advise(fmt.Errorf("%w in the testnet", api.ErrNotRunning), "start one that keeps running with mlecs testnet up")
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), pictures)
	}
	showPictures(&page{w: cmd.OutOrStdout()}, pictures)
	return nil
}

func look(ctx context.Context, n top.Node, p *picture) error {
	src, err := n.Dial(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	if p.Status, err = src.Status(ctx); err != nil {
		return err
	}
	p.Name = p.Status.Name
	p.Scores, err = src.Scores(ctx)
	return err
}

func showPictures(p *page, pictures []picture) {
	var rows []table.Row
	for _, x := range pictures {
		if x.Error != "" {
			rows = append(rows, table.Row{x.Name, "-", "-", firstLine(x.Error)})
			continue
		}
		s, steps, score := x.Status, "-", "-"
		if s.StepTotal > 0 {
			steps = fmt.Sprintf("%d of %d", s.StepDone, s.StepTotal)
		}
		if n := len(x.Scores.Together); n > 0 {
			score = scoreText(x.Scores.Together[n-1].RougeLsum)
		}
		rows = append(rows, table.Row{x.Name, s.Role, s.Round, s.Phase, steps, s.Peers, score, bytesText(s.BytesSent), bytesText(s.BytesReceived), bytesText(s.DiskBytes)})
	}
	p.list(table.Row{"node", "role", "round", "phase", "steps", "peers", "Rouge-LSum", "sent", "received", "disk"}, rows, []int{3, 5, 6, 7, 8, 9, 10}, "No nodes.")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
