package testnet_test

import (
	"strings"
	"testing"

	"github.com/mlecs/mlecs/testnet"
)

// TestReportOfARun checks what the README promises of `mlecs testnet run`, on the report that such a run wrote.
func TestReportOfARun(t *testing.T) {
	if *reportPath == "" {
		t.Skip("checks the report of a whole run: go test ./testnet -report FILE")
	}
	r, err := testnet.ReadReport(*reportPath)
	if err != nil {
		t.Fatal(err)
	}
	if r.WallSeconds > 240 {
		t.Errorf("it took %.0f s, and 240 s are promised on two cores", r.WallSeconds)
	}
	pids, peers, modalities := map[int]bool{}, map[string]bool{}, map[string]bool{}
	alone, together, edges := 0.0, 0.0, 0.0
	for _, n := range r.Nodes {
		pids[n.PID], peers[n.PeerID] = true, true
		c := n.RougeLsum
		if c.Constant == nil || c.Together == nil || *c.Together <= *c.Constant {
			t.Errorf("%s is not above the constant answer: %+v", n.Name, c)
			continue
		}
		if n.Role != "edge" || c.Standalone == nil {
			continue
		}
		modalities[strings.Join(n.Modalities, "+")] = true
		alone += *c.Standalone
		together += *c.Together
		edges++
	}
	if len(pids) != len(r.Nodes) || len(peers) != len(r.Nodes) {
		t.Errorf("%d nodes have %d pids and %d peer ids", len(r.Nodes), len(pids), len(peers))
	}
	if len(modalities) < 2 {
		t.Errorf("all edges have the same modalities: %v", modalities)
	}
	if edges == 0 || together <= alone {
		t.Errorf("edges reach %.3f together and %.3f alone (means of Rouge-LSum)", together/edges, alone/edges)
	}
	for _, round := range r.Rounds {
		if len(round.Inputs) == 0 {
			t.Errorf("round %d has no inputs", round.Round)
		}
	}
}
