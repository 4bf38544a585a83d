package chaos_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/testnet/chaos"
)

func TestParse(t *testing.T) {
	s, err := chaos.Parse("mine", `
# A script with everything that the language has.
edges 5
supers 2
deadline 20s
network
disk edge-1 256MiB

expect "rounds close" rounds +2 within=60s # a comment
repeat 3
  sleep 50ms..400ms
  repeat 2
    crash any,edge-1
  end
end
partition super-2,edge-3 | rest
link edges delay=50ms loss=2.5%
`)
	if err != nil {
		t.Fatal(err)
	}
	want := chaos.Setup{Edges: 5, Supers: 2, Rounds: 10000, Steps: 20, Rows: 24, Deadline: 20 * time.Second, Network: true}
	got := s.Setup
	if got.Disks["edge-1"] != 256<<20 {
		t.Errorf("disks %v", got.Disks)
	}
	got.Disks = nil
	if got.Edges != want.Edges || got.Supers != want.Supers || got.Rounds != want.Rounds || got.Steps != want.Steps || got.Deadline != want.Deadline || !got.Network {
		t.Errorf("setup %+v, want %+v", got, want)
	}
	if len(s.Steps) != 4 {
		t.Fatalf("%d steps, want 4: %+v", len(s.Steps), s.Steps)
	}
	first := s.Steps[0]
	if first.Verb != "expect rounds" || first.Label != "rounds close" || first.Args[0] != "+2" || first.Keys["within"] != "60s" || first.Line != 9 {
		t.Errorf("first step %+v", first)
	}
	outer := s.Steps[1]
	if outer.Verb != "repeat" || outer.Count != 3 || len(outer.Body) != 2 || outer.Body[1].Count != 2 || outer.Body[1].Body[0].Verb != "crash" {
		t.Errorf("repeat %+v", outer)
	}
	if cut := s.Steps[2]; len(cut.Args) != 3 || cut.Args[1] != "|" {
		t.Errorf("partition %+v", cut)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, script, says string }{
		{"nothing", "# only a comment\nedges 3", "does nothing"},
		{"an unknown word", "kil edge-1", `mine:1: unknown word "kil"`},
		{"an unknown expectation", "expect peace", "nothing called \"peace\""},
		{"an expectation of nothing", `expect "x"`, "expect what?"},
		{"a missing argument", "kill", "want: kill NODES"},
		{"too many arguments", "kill edge-1 edge-2", "want: kill NODES"},
		{"a node that cannot be", "kill edge-0", `"edge-0" is no node`},
		{"a key that it does not know", "kill edge-1 softly=yes", "kill knows no softly="},
		{"a key twice", "expect same within=1s within=2s", "within= is given twice"},
		{"no duration", "sleep long", `"long" is no duration`},
		{"a range backwards", "sleep 2s..1s", "the shorter one first"},
		{"a range where one is wanted", "expect same within=1s..2s", "not a range"},
		{"an endless sleep", "sleep 999h", "1h0m0s"},
		{"no bar", "partition edge-1 / rest", "want |"},
		{"a share above all", "link edges loss=101%", "is no share"},
		{"no size", "fill edge-1 leave=much", "is no size"},
		{"a size beyond reason", "fill edge-1 leave=9999999999GiB", "is no size"},
		{"a disk that is too small", "disk edge-1 1MiB\nkill edge-1", "at least 128MiB"},
		{"a setup after the first step", "kill edge-1\nedges 4", "must come before"},
		{"too many edges", "edges 1000\nkill all", "more than 64"},
		{"a repeat without an end", "repeat 2\nkill any", "mine:1: this repeat has no end"},
		{"an end without a repeat", "kill any\nend", "mine:2: there is no repeat"},
		{"an empty repeat", "repeat 2\nend", "nothing in it"},
		{"a repeat of nothing", "repeat 0\nkill any\nend", "from 1 to 10000"},
		{"deep repeats", strings.Repeat("repeat 2\n", 6), "more than 4 repeats"},
		{"an open quote", `expect "rounds rounds +1`, "a quote is not closed"},
		{"an invisible character", "say \"a\x07b\"", "cannot be printed"},
		{"a quoted verb", `"kill" edge-1`, "begins with a word"},
		{"a long script", strings.Repeat("#", 70000), "too long"},
		{"many lines", strings.Repeat("mark\n", 2000), "at most 1000 lines"},
		{"no number of rounds", "expect rounds 3", "write +3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := chaos.Parse("mine", c.script)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want it to say %q", err, c.says)
			}
		})
	}
}

// The scenarios that the command names are there, can be read, and check something.
func TestScenarios(t *testing.T) {
	var have []string
	for _, name := range chaos.Scenarios() {
		have = append(have, name)
		s, err := chaos.Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Name != name {
			t.Errorf("%s is called %s", name, s.Name)
		}
	}
	for _, name := range []string{"kill", "pause", "partition", "diskfull", "hostile", "strangers", "liar"} {
		if !strings.Contains(strings.Join(have, " "), name) {
			t.Errorf("there is no scenario %s", name)
		}
	}
	if _, err := chaos.Load("no-such-scenario"); err == nil || !strings.Contains(err.Error(), "the scenarios are") {
		t.Errorf("a scenario that is not there: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "edges 3\nkill edge-1", "repeat 2\nsleep 1ms..2ms\nend", `expect "a b" rounds +1 within=1s`, "partition a | b", "disk edge-1 1GiB\nfill edge-1 leave=0",
		"link edges delay=1ms loss=5%", "repeat 9999\nrepeat 9999\ncrash any\nend\nend", "\"", "say \"#\" # x", "await edge-1 mma", "clock edge-1 +10m",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := chaos.Parse("fuzz", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz") {
				t.Errorf("the error does not name the script: %v", err)
			}
			return
		}
		if s.Setup.Edges < 1 || s.Setup.Edges > 64 || s.Setup.Supers < 1 || len(s.Steps) == 0 {
			t.Errorf("a script that cannot be run was read: %+v", s)
		}
	})
}
