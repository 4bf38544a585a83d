package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// raw is what Go itself says, and people should not see.
var raw = regexp.MustCompile(`no such file or directory|not a directory|strconv\.|unexpected EOF|invalid syntax|time: unknown|openat |json: |goroutine |0x[0-9a-f]{6}|file does not exist`)

// TestWrongInput: what cannot work is said in words, in one line and what to do in a second.
func TestWrongInput(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("junk", "junk\n")
	write("bad.json", "{bad")
	write("empty/.keep", "")
	if _, errOut, code := mlecs("init", "--home", "home"); code != exitOK {
		t.Fatal(errOut)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"status --home nope", exitFailure, "mlecs init"},
		{"status --home junk", exitFailure, "not a folder"},
		{"start --home nope", exitFailure, "mlecs init"},
		{"watch --home home", exitNoNode, "mlecs start"},
		{"dashboard --home home", exitNoNode, "mlecs start"},
		{"status --node edge-1", exitFailure, "mlecs testnet"},
		{"delta show zzz --home home", exitNotFound, "mlecs deltas"},
		{"delta lineage zzz --home home", exitNotFound, "mlecs deltas"},
		{"verify zzz --home home", exitNotFound, "mlecs rounds"},
		{"init --home junk/x", exitFailure, "not a folder"},
		{"init --home x --role king", exitFailure, "edge or super"},
		{"init --home x --listen foo", exitFailure, "p2p.listen"},
		{"federation create --home f --data nope", exitFailure, "there is no nope"},
		{"federation create --home f --data empty", exitFailure, "metadata.jsonl"},
		{"invite --home home", exitFailure, "mlecs federation create"},
		{"invite --home home --expires 1x", exitUsage, "such as 90s"},
		{"revoke a --home home", exitFailure, "mlecs federation create"},
		{"renew a --home home --expires -1h", exitUsage, "at least a second"},
		{"federation policy set --deadline 0s --home home", exitUsage, "such as 10m"},
		{"federation policy set --quorum 1 --home home", exitFailure, "mlecs federation create"},
		{"log p2p loud --home home", exitUsage, "debug, info, warn, error"},
		{"log radio info --home home", exitUsage, "learner"},
		{"generate --image junk --home home", exitFailure, "png or jpg"},
		{"testnet run --edges x", exitUsage, "a whole number"},
		{"testnet run --seed -1", exitUsage, "from 0 on"},
		{"testnet run --modality-rate x", exitUsage, "a number"},
		{"testnet run --keep=x", exitUsage, "true or false"},
		{"testnet run --data nope", exitFailure, "there is no nope"},
		{"testnet run --tuned nope", exitFailure, "there is no nope"},
		{"testnet run --out junk", exitFailure, "not a folder"},
		{"testnet ps --out empty", exitFailure, "mlecs testnet up"},
		{"model show nope", exitFailure, "there is no nope"},
		{"model show junk", exitFailure, "mlecs model"},
		{"model import nope --out x", exitFailure, "there is no nope"},
		{"model train --text nope --out x", exitFailure, "there is no nope"},
		{"model train --text junk --out absent/x", exitFailure, "absent"},
		{"model train --text junk --out x --heads 3 --dim 16", exitUsage, "--heads"},
		{"data inspect nope", exitFailure, "there is no nope"},
		{"data inspect empty", exitFailure, "metadata.jsonl"},
		{"data generate junk", exitFailure, "junk"},
		{"data generate d --homes 0", exitUsage, "--homes"},
		{"backup absent/b.tar --home home", exitFailure, "there is no absent"},
		{"restore junk --home r", exitFailure, "no backup"},
		{"restore nope --home r", exitFailure, "there is no nope"},
		{"gc --keep-rounds x --home home", exitUsage, "a whole number"},
		{"fsck --home nope", exitFailure, "mlecs init"},
		{"experiment --data nope --out e", exitFailure, "there is no nope"},
		{"completion fish2", exitUsage, "no command"},
		{"foo", exitUsage, "no command"},
	} {
		t.Run(c.args, func(t *testing.T) {
			_, errOut, code := mlecs(strings.Fields(c.args)...)
			var kept []string // progress is no error
			for _, line := range strings.Split(strings.TrimSpace(errOut), "\n") {
				if len(kept) > 0 || strings.HasPrefix(line, "mlecs: ") {
					kept = append(kept, line)
				}
			}
			text := strings.Join(kept, "\n")
			if code != c.code || !strings.Contains(text, c.says) {
				t.Errorf("exit code %d (want %d), which lacks %q:\n%s", code, c.code, c.says, text)
			}
			if found := raw.FindString(text); found != "" || len(kept) > 3 {
				t.Errorf("%q is nothing for people, or the error has too many lines:\n%s", found, text)
			}
		})
	}
}
