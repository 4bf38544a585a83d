package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// mlecs runs a command line as a user would.
func mlecs(args ...string) (out, errOut string, code int) {
	var o, e bytes.Buffer
	code = run(args, &o, &e)
	return o.String(), e.String(), code
}

func TestExitCodes(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string // on standard error
	}{
		{"help", []string{"--help"}, exitOK, nil},
		{"no command", nil, exitOK, nil},
		{"version", []string{"version"}, exitOK, nil},
		{"unknown command", []string{"tesnet"}, exitUsage, []string{`no command "tesnet"`, `did you mean "testnet"?`}},
		{"unknown child", []string{"testnet", "ran"}, exitUsage, []string{`no command "ran"`, "mlecs testnet --help"}},
		{"unknown flag", []string{"status", "--colour"}, exitUsage, []string{"--colour", "mlecs status --help"}},
		{"a flag that is no number", []string{"testnet", "run", "--edges", "three"}, exitUsage, []string{"three"}},
		{"an impossible testnet", []string{"testnet", "run", "--edges", "0"}, exitUsage, []string{"--edges 0", "mlecs testnet run --help"}},
		{"a structure that is none", []string{"testnet", "run", "--structure", `{"ranks":3}`}, exitUsage, []string{"ranks"}},
		{"a structure too many", []string{"federation", "create", "--data", nowhere, "--structure", "{}", "--families", "3", "--home", nowhere}, exitUsage, []string{"--families 3"}},
		{"an adapter of another format", []string{"adapter", "export", nowhere, "--format", "onnx"}, exitUsage, []string{"onnx", "peft"}},
		{"an adapter without a folder", []string{"adapter", "export"}, exitUsage, []string{"folder"}},
		{"an adapter from no home", []string{"adapter", "export", nowhere, "--home", nowhere}, exitFailure, []string{"config.yaml"}},
		{"no such scenario", []string{"testnet", "chaos", "earthquake"}, exitFailure, []string{"earthquake", "partition"}},
		{"a scenario that is not named", []string{"testnet", "chaos"}, exitUsage, []string{"scenario"}},
		{"a scenario of nodes that are not there", []string{"testnet", "chaos", "partition", "--supers", "1"}, exitFailure, []string{"super-2", "--supers 2 or more"}},
		{"missing argument", []string{"delta", "show"}, exitUsage, []string{"CID"}},
		{"too many arguments", []string{"join", "a", "b"}, exitUsage, []string{"token"}},
		{"argument to a command without", []string{"status", "edge-1"}, exitUsage, []string{"edge-1"}},
		{"--home and --node", []string{"status", "--home", nowhere, "--node", "edge-1"}, exitUsage, []string{"--home", "--node"}},
		{"no home", []string{"status", "--home", nowhere}, exitFailure, []string{"config.yaml", "mlecs init --home " + nowhere}},
		{"no testnet", []string{"status", "--out", nowhere, "--node", "edge-1"}, exitFailure, []string{"no testnet in", "mlecs testnet run"}},
		{"a question without a row", []string{"generate"}, exitUsage, []string{"--row ID", "--file MODALITY=FILE"}},
		{"a row and a file", []string{"generate", "--row", "a", "--file", "image=a.png"}, exitUsage, []string{"--row excludes"}},
		{"a file without a modality", []string{"generate", "--file", "a.png"}, exitUsage, []string{"MODALITY=FILE"}},
		{"a modality twice", []string{"generate", "--file", "image=a.png", "--file", "image=b.png"}, exitUsage, []string{`"image" twice`}},
		{"files of a folder", []string{"generate", "--text", "hello", "--data", nowhere}, exitUsage, []string{"--data needs --row"}},
		{"no data set", []string{"data", "inspect", nowhere}, exitFailure, []string{nowhere}},
		{"not a token", []string{"join", "hello", "--home", nowhere}, exitFailure, []string{"token"}},
		{"a report that cannot be written", []string{"testnet", "run", "--json", filepath.Join(t.TempDir(), "absent", "r.json")}, exitFailure, []string{"r.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, code := mlecs(c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errOut)
			}
			for _, want := range c.says {
				if !strings.Contains(errOut, want) {
					t.Errorf("standard error lacks %q:\n%s", want, errOut)
				}
			}
			if lines := strings.Count(errOut, "\n"); lines > 2 {
				t.Errorf("an error is one line and advice, not %d lines:\n%s", lines, errOut)
			}
			if strings.Contains(errOut, "goroutine ") {
				t.Errorf("a stack trace reached the user:\n%s", errOut)
			}
		})
	}
}

// asCommand in the environment makes the test binary stand for mlecs.
const asCommand = "MLECS_TEST_AS_COMMAND"

// The tests leave the user's own home alone.
func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	dir, err := os.MkdirTemp("", "mlecs-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv("MLECS_HOME", filepath.Join(dir, "home"))
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// commands walks the tree of commands that do something.
func commands(c *cobra.Command, path string, f func(string, *cobra.Command)) {
	for _, child := range c.Commands() {
		name := strings.TrimSpace(path + " " + child.Name())
		if child.HasSubCommands() {
			commands(child, name, f)
		} else {
			f(name, child)
		}
	}
}

// The commands and flags are an interface to people and scripts: this list is what they may rely on.
func TestCommandsAndFlags(t *testing.T) {
	inspecting := "json home node out"
	run := "edges supers rounds data seed out json keep"
	want := map[string]string{
		"testnet run": run, "testnet up": run, "testnet ps": "out json", "testnet down": "out", "testnet logs": "out follow", "testnet chaos": "edges supers seed out json",
		"init": "home", "federation create": "home data", "invite": "home role expires", "join": "home", "start": "home role data",
		"top":    inspecting + " address token-file once",
		"status": inspecting + " address token-file ca-file", "peers": inspecting, "rounds": inspecting, "deltas": inspecting, "delta show": inspecting, "models": inspecting,
		"eval": inspecting + " data split", "generate": inspecting + " row data file text",
		"config show": inspecting, "data inspect": inspecting, "data generate": "homes rows-per-home seed", "version": "json",
		"adapter export": inspecting + " format merge delta base",
		"model train":    "text data size dim layers heads vocab steps tokenizer out",
	}
	found := map[string]*cobra.Command{}
	commands(newRootCommand(), "", func(name string, c *cobra.Command) { found[name] = c })
	for name, flags := range want {
		c := found[name]
		if c == nil {
			t.Errorf("there is no `mlecs %s`", name)
			continue
		}
		if c.Short == "" {
			t.Errorf("`mlecs %s` does not say what it does", name)
		}
		for _, f := range strings.Fields(flags) {
			if c.Flags().Lookup(f) == nil {
				t.Errorf("`mlecs %s` has no --%s", name, f)
			}
		}
	}
}

func TestDefaultsOfTestnetRun(t *testing.T) {
	c := newTestnetRunCommand()
	for name, want := range map[string]string{"edges": "3", "supers": "1", "rounds": "3", "data": "", "out": "", "json": "", "keep": "false"} {
		if got := c.Flags().Lookup(name).DefValue; got != want {
			t.Errorf("--%s is %q unless given, want %q", name, got, want)
		}
	}
}

func TestHomeOfItsOwn(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	t.Setenv("MLECS_HOME", home)
	if out, errOut, code := mlecs("init", "--name", "kitchen", "--role", "edge", "--domain", "flat 3"); code != exitOK || !strings.Contains(out, home) {
		t.Fatalf("init: %d, %s%s", code, out, errOut)
	}
	if _, errOut, code := mlecs("init"); code != exitFailure || !strings.Contains(errOut, "config.yaml") {
		t.Errorf("a second init: %d, %s", code, errOut)
	}
	info, err := os.Stat(filepath.Join(home, "identity.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("identity.key: %v, %v", info, err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status"}, "kitchen"},
		{[]string{"peers"}, "No "},
		{[]string{"rounds"}, "No "},
		{[]string{"deltas"}, "No "},
		{[]string{"models"}, "no federation"},
		{[]string{"config", "show"}, "domain: flat 3"},
	} {
		if out, errOut, code := mlecs(c.args...); code != exitOK || !strings.Contains(out, c.want) {
			t.Errorf("%v: %d, %s%s, want %q", c.args, code, out, errOut, c.want)
		}
		out, errOut, code := mlecs(append(c.args, "--json")...)
		if code != exitOK || !json.Valid([]byte(out)) || strings.TrimSpace(out) == "null" {
			t.Errorf("%v --json: %d, %s%s", c.args, code, out, errOut)
		}
	}
	if _, errOut, code := mlecs("start"); code != exitFailure || !strings.Contains(errOut, "mlecs join") {
		t.Errorf("start outside a federation: %d, %s", code, errOut)
	}
}

func TestDataCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rows")
	if out, errOut, code := mlecs("data", "generate", dir, "--homes", "2", "--rows-per-home", "8", "--seed", "5"); code != exitOK {
		t.Fatalf("generate: %d, %s%s", code, out, errOut)
	}
	out, _, code := mlecs("data", "inspect", dir)
	if code != exitOK || !strings.Contains(out, "generated") || !strings.Contains(out, "sensor") || !strings.Contains(out, "home-1") {
		t.Errorf("inspect: %d, %s", code, out)
	}
	out, _, code = mlecs("data", "inspect", dir, "--json")
	var r struct {
		Rows      int
		Generated bool
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || r.Rows != 16 || !r.Generated {
		t.Errorf("inspect --json: %d, %v, %s", code, err, out)
	}
	path := filepath.Join(dir, "metadata.jsonl")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("{not json}\n"), b...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, errOut, code := mlecs("data", "inspect", dir); code != exitFailure || !strings.Contains(errOut, "metadata.jsonl:1") {
		t.Errorf("a bad line: %d, %s", code, errOut)
	}
}

func TestDataInspectExplainsWhatItFinds(t *testing.T) {
	const hint = "Look at exact match"
	for _, c := range []struct {
		name, rows   string
		says, silent []string
	}{
		{"no splits", `{"text": "a", "target": "Walking, upright; 2 steps"}`, []string{"unsplit rows"}, []string{"none rows", hint}},
		{"splits", `{"text": "a", "target": "up", "split": "train"}` + "\n" + `{"text": "b", "target": "up", "split": "test"}`, []string{"train rows", "test rows"}, []string{"unsplit", hint}},
		{"another script", `{"text": "a", "target": "走路"}` + "\n" + `{"text": "b", "target": "walking"}`, []string{"targets of 1 rows", hint}, nil},
		{"letters with marks", `{"text": "a", "target": "naïve"}`, []string{hint}, nil},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "metadata.jsonl"), []byte(c.rows+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		out, errOut, code := mlecs("data", "inspect", dir)
		if code != exitOK {
			t.Errorf("%s: %d, %s", c.name, code, errOut)
		}
		for _, s := range c.says {
			if !strings.Contains(out, s) {
				t.Errorf("%s: %q is not said:\n%s", c.name, s, out)
			}
		}
		for _, s := range c.silent {
			if strings.Contains(out, s) {
				t.Errorf("%s: %q is said:\n%s", c.name, s, out)
			}
		}
	}
}

func TestModelTrain(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "words.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("walking upright steps\nfalling lying thud\n", 4)), 0o644); err != nil {
		t.Fatal(err)
	}
	small := filepath.Join(dir, "small.base")
	out, errOut, code := mlecs("model", "train", "--text", text, "--layers", "1", "--dim", "16", "--heads", "2", "--steps", "2", "--vocab", "270", "--out", small)
	if code != exitOK || !strings.Contains(out, "bafk") || !strings.Contains(out, "parameters") {
		t.Fatalf("%d, %s%s", code, out, errOut)
	}
	second := filepath.Join(dir, "second.base")
	if _, errOut, code := mlecs("model", "train", "--text", text, "--layers", "1", "--dim", "16", "--heads", "2", "--steps", "2", "--tokenizer", small, "--out", second); code != exitOK {
		t.Errorf("with the first one's tokenizer: %d, %s", code, errOut)
	}
	for name, args := range map[string][]string{
		"no text":                    {"model", "train", "--out", second},
		"two texts":                  {"model", "train", "--text", text, "--data", dir, "--out", second},
		"no output":                  {"model", "train", "--text", text},
		"a size that does not exist": {"model", "train", "--text", text, "--out", second, "--size", "huge"},
	} {
		if _, errOut, code := mlecs(args...); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, exitUsage, errOut)
		}
	}
}
