package testnet_test

import (
	"os"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/testnet/chaos"
)

// Short forms of the built-in scenarios, several in one testnet: those run for minutes.
var shortScenarios = []struct {
	name, script string
	root         bool
}{
	{"crashes, a stall and a partition", `
supers 2
deadline 6s
steps 4
network
expect "rounds close before" rounds +1 within=60s
repeat 10
  crash any
  sleep 20ms..300ms
end
start all
pause edge-1
mark
expect "rounds go on after crashes, without an edge that stands still" rounds +1 on=super-1,super-2,edge-2,edge-3 within=60s
resume edge-1
partition super-2,edge-3 | rest
mark
expect "one side learns on" rounds +1 on=super-1,edge-1,edge-2 within=60s
expect "the other side learns on" rounds +1 on=super-2,edge-3 within=60s
heal
expect "same records" same within=20s
link edges delay=20ms loss=1%
mark
expect "rounds go on" rounds +1 within=60s
expect "nothing is lost" kept
expect "fsck is clean" fsck
corrupt edge-1 count=2
expect mended edge-1
expect alive
`, false},
	// Without hostile members: an author's quota is for a round, and rounds this short close before a flood has used it up. p2p's
	// TestFloodIsGraylisted has a round of its own.
	{"strangers and a liar", `
supers 2
deadline 6s
steps 4
expect "rounds close before" rounds +1 within=60s
strangers
lie super-2 within=60s
expect alive on=super-1,edges
`, false},
	{"a full disk", `
deadline 6s
steps 4
disk edge-1 256MiB
expect "rounds close before" rounds +1 within=60s
fill edge-1 leave=0
expect state edge-1 disk-full within=30s
free edge-1
mark
expect "it resumes" rounds +1 on=edge-1 within=60s
expect "nothing is lost" kept
expect alive
`, true},
}

func TestChaosProcesses(t *testing.T) {
	if !*processes {
		t.Skip("runs real processes: go test ./testnet -processes")
	}
	for _, c := range shortScenarios {
		t.Run(c.name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("mounting a small disk takes root")
			}
			script, err := chaos.Parse(c.name, c.script)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			v, err := chaos.Run(t.Context(), chaos.Options{Script: script, Seed: 1, Out: t.TempDir() + "/net", Text: &text})
			if err != nil {
				t.Fatalf("%v\n%s", err, text.String())
			}
			if v.Failed() > 0 || len(v.Checks) == 0 {
				t.Errorf("%d of %d checks failed:\n%s", v.Failed(), len(v.Checks), text.String())
			}
		})
	}
}
