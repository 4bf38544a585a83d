package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

// TestReferenceIsCurrent: the generated pages say what the code says.
func TestReferenceIsCurrent(t *testing.T) {
	for file, args := range map[string][]string{"cli.md": {"reference"}, "config.md": {"reference", "--config"}} {
		t.Run(file, func(t *testing.T) {
			want, _, code := mlecs(args...)
			if code != exitOK {
				t.Fatalf("exit code %d", code)
			}
			have, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
			if err != nil {
				t.Fatal(err)
			}
			old := strings.Split(string(have), "\n")
			for i, line := range strings.Split(want, "\n") {
				if i >= len(old) || old[i] != line {
					t.Fatalf("docs/%s is not what the code says, from line %d on, which should be\n%s\nWrite it anew with: make docs", file, i+1, line)
				}
			}
			if string(have) != want {
				t.Fatalf("docs/%s has lines too many. Write it anew with: make docs", file)
			}
		})
	}
}

func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if _, errOut, code := mlecs("reference", "--man", dir); code != exitOK {
		t.Fatal(errOut)
	}
	b, err := os.ReadFile(filepath.Join(dir, "mlecs-testnet-run.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".TH MLECS-TESTNET-RUN 1", `\fB\-\-edges int\fR`, ".SH EXAMPLES"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in\n%s", want, b)
		}
	}
	if got := roff(".x\n'y\n-z\\"); got != `\&.x`+"\n"+`\&'y`+"\n"+`\-z\e` {
		t.Errorf("escaped: %q", got)
	}
}

// TestEveryCommandIsExplained: a short text, an example for what takes arguments, and completion of what has names.
func TestEveryCommandIsExplained(t *testing.T) {
	documented(newRootCommand(), func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short text %q must be there, and end without a full stop", cmd.CommandPath(), cmd.Short)
		}
		if cmd.Flags().Lookup("node") != nil {
			if _, ok := cmd.GetFlagCompletionFunc("node"); !ok {
				t.Errorf("%s: --node is not completed", cmd.CommandPath())
			}
		}
		for _, f := range localFlags(cmd) {
			if f.Usage == "" {
				t.Errorf("%s: --%s is not explained", cmd.CommandPath(), f.Name)
			}
		}
	})
}

func TestCompletion(t *testing.T) {
	t.Setenv("MLECS_HOME", t.TempDir())
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"commands", []string{"dash"}, "dashboard\tGet a link"},
		{"roles", []string{"invite", "--role", ""}, "super"},
		{"levels", []string{"log", "p2p", "de"}, "debug"},
		{"nodes, where there is no testnet", []string{"status", "--node", ""}, ":4"},
		{"members, where no node runs", []string{"revoke", ""}, ":4"},
		{"CIDs, where no node runs", []string{"delta", "show", ""}, ":36"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, _, code := mlecs(append([]string{"__complete"}, tc.args...)...)
			if code != exitOK || !strings.Contains(out, tc.want) {
				t.Errorf("%d, %q lacks %q", code, out, tc.want)
			}
		})
	}
	rounds := []api.Round{{Round: 1, Aggregate: "bafyA1"}, {Round: 2, Aggregate: "bafyA2"}}
	deltas := []api.Delta{{CID: "bafyD1", Round: 1, AuthorName: "edge-1"}, {CID: "other", Round: 2}}
	got := strings.Join(cidWords(rounds, deltas, "bafy"), "; ")
	members := []api.Member{{Name: "kitchen", PeerID: "12D3A", Role: "edge", State: "away"}, {PeerID: "12D3B", State: "invited"}}
	for begun, want := range map[string]string{"": "kitchen\tedge, away", "k": "kitchen\tedge, away", "12D3": "12D3A\tkitchen away; 12D3B\tinvited", "x": ""} {
		if got := strings.Join(memberWords(members, begun), "; "); got != want {
			t.Errorf("members from %q: got %q, want %q", begun, got, want)
		}
	}
	if want := "bafyA2\taggregate of round 2; bafyA1\taggregate of round 1; bafyD1\tdelta of round 1 by edge-1"; got != want {
		t.Errorf("CIDs: got %q, want %q", got, want)
	}
}
