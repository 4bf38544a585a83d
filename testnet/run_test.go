package testnet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet"
)

func TestInProcessTestnet(t *testing.T) {
	var text, doc bytes.Buffer
	o := tiny(t)
	o.InProcess, o.Text, o.JSON = true, &text, &doc
	report, err := testnet.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}

	t.Run("report says how every node did", func(t *testing.T) {
		if len(report.Nodes) != 3 || len(report.Rounds) != 1 {
			t.Fatalf("%d nodes and %d rounds, want 3 and 1", len(report.Nodes), len(report.Rounds))
		}
		for _, n := range report.Nodes {
			if n.PeerID == "" || n.PID == 0 || n.Base == "" || n.ParamsTotal == 0 || n.TestRows == 0 || n.BytesSent == 0 || n.BytesReceived == 0 {
				t.Errorf("%s: something is missing: %+v", n.Name, n)
			}
			for name, c := range map[string]testnet.Compared{"Rouge-LSum": n.RougeLsum, "exact match": n.ExactMatch} {
				if c.Constant == nil || c.Standalone == nil || c.Together == nil {
					t.Errorf("%s: a score of %s is missing", n.Name, name)
				}
			}
		}
		if got := len(report.Rounds[0].Inputs); got != 2 {
			t.Errorf("round 1 has %d inputs, want one of each edge", got)
		}
		if c := report.Communication; c.Fraction <= 0 || c.Fraction >= 1 || c.BytesPerEdgeRound <= c.ParamsSentPerEdgeRound/100 || c.BytesPerEdgeRound >= 4*c.ParamsSentPerEdgeRound || c.Down["supervision"] <= 0 {
			t.Errorf("communication makes no sense: %+v", c)
		}
		if !report.Dataset.Generated || !strings.HasPrefix(report.Dataset.CID, "bafk") {
			t.Errorf("data set: %+v", report.Dataset)
		}
	})
	t.Run("edges differ in their modalities", func(t *testing.T) {
		if a, b := report.Nodes[1].Modalities, report.Nodes[2].Modalities; slices.Equal(a, b) {
			t.Errorf("both have %v", a)
		}
	})
	t.Run("files are there and agree", func(t *testing.T) {
		for _, name := range []string{"report.md", "curves.png", "curves.svg"} {
			if info, err := os.Stat(filepath.Join(o.Out, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
		written, err := testnet.ReadReport(filepath.Join(o.Out, "report.json"))
		if err != nil {
			t.Fatal(err)
		}
		var printed testnet.Report
		if err := json.Unmarshal(doc.Bytes(), &printed); err != nil {
			t.Fatal(err)
		}
		if written.Nodes[0].PeerID != report.Nodes[0].PeerID || printed.Nodes[0].PeerID != report.Nodes[0].PeerID {
			t.Error("the reports differ")
		}
	})
	t.Run("people see progress and result", func(t *testing.T) {
		for _, want := range []string{"generating data", "joined by token", "round 1 closed", "Rouge-LSum", "generated data", "report.json", "mean of edges"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("no %q in:\n%s", want, text.String())
			}
		}
	})
	t.Run("stopped nodes know every delta with its blobs", func(t *testing.T) {
		sameDeltas(t, o.Out, report)
	})
	t.Run("bulky copies are gone", func(t *testing.T) {
		for _, path := range []string{"data", "nodes/edge-1/data", "nodes/super-1/models"} {
			if _, err := os.Stat(filepath.Join(o.Out, path)); !os.IsNotExist(err) {
				t.Errorf("%s: %v, want it deleted", path, err)
			}
		}
	})
	t.Run("ps and down find stopped nodes", func(t *testing.T) {
		lines, err := testnet.Ps(t.Context(), o.Out)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.State != "stopped" || l.Round != 1 || l.PID != 0 {
				t.Errorf("%+v, want it stopped after round 1", l)
			}
		}
		if stopped, err := testnet.Down(t.Context(), o.Out); err != nil || len(stopped) != 0 {
			t.Errorf("down stopped %v, %v", stopped, err)
		}
	})
	t.Run("secrets are their owner's alone", func(t *testing.T) { secretsArePrivate(t, o.Out) })
}

func TestTestnetOfTwoFamilies(t *testing.T) {
	var text bytes.Buffer
	o := tiny(t)
	o.InProcess, o.Text, o.Families = true, &text, 2
	report, err := testnet.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	first, second := report.Nodes[1], report.Nodes[2]
	if first.Family != 0 || second.Family != 1 || first.Base == second.Base {
		t.Errorf("edges of families %d and %d on %s and %s, want 0 and 1 on two bases", first.Family, second.Family, first.Base, second.Base)
	}
	for _, n := range []testnet.NodeReport{first, second} {
		if n.RougeLsum.Standalone == nil || n.RougeLsum.Together == nil {
			t.Errorf("%s: a score is missing: %+v", n.Name, n.RougeLsum)
		}
	}
	if got := len(report.Rounds[0].Inputs); got != 2 {
		t.Errorf("round 1 has %d inputs, want one of each family", got)
	}
}

// sameDeltas checks that every node finds every input of every round, with equal CID, author and modalities.
func sameDeltas(t *testing.T, out string, report *testnet.Report) {
	t.Helper()
	f, err := testnet.OpenFolder(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Members {
		inspect(t, m.Home, func(src api.Source) {
			for _, r := range report.Rounds {
				for _, in := range r.Inputs {
					d, err := src.Delta(context.Background(), in.Delta[:20])
					if err != nil {
						t.Errorf("%s, round %d: %v", m.Name, r.Round, err)
						continue
					}
					if d.CID != in.Delta || d.Author != in.Author || !slices.Equal(d.Modalities, in.Modalities) {
						t.Errorf("%s knows delta %s by %s of %v, the report says %+v", m.Name, d.CID, d.Author, d.Modalities, in)
					}
				}
			}
		})
	}
}

func inspect(t *testing.T, home string, f func(api.Source)) {
	t.Helper()
	h, err := node.OpenHome(home)
	if err != nil {
		t.Fatal(err)
	}
	src, done, err := h.Source()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	f(src)
}

func secretsArePrivate(t *testing.T, out string) {
	t.Helper()
	found := 0
	for _, pattern := range []string{"testnet.json", "nodes/*/identity.key", "nodes/*/founder.key", "nodes/*/config.yaml"} {
		paths, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			found++
			info, err := os.Stat(p)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %o, want 600", p, info.Mode().Perm())
			}
		}
	}
	if found < 6 {
		t.Errorf("only %d secret files found", found)
	}
}
