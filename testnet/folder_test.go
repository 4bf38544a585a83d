package testnet_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/flock"

	"github.com/mlecs/mlecs/testnet"
)

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*testnet.Options)
		want   string
	}{
		{"no edges", func(o *testnet.Options) { o.Nodes = 0 }, "--edges 0"},
		{"too many edges", func(o *testnet.Options) { o.Nodes = 1000 }, "--edges 1000"},
		{"no super-peer", func(o *testnet.Options) { o.Supers = 0 }, "--supers 0"},
		{"no rounds", func(o *testnet.Options) { o.Rounds = 0 }, "--rounds 0"},
		{"public rows", func(o *testnet.Options) { o.PublicRows = -1 }, "public rows is -1"},
		{"no time", func(o *testnet.Options) { o.Stall = 0 }, "must be positive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := testnet.Defaults()
			o.Out = filepath.Join(t.TempDir(), "net")
			c.change(&o)
			if _, err := testnet.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
			if _, err := os.Stat(o.Out); !os.IsNotExist(err) {
				t.Error("the folder was made nevertheless")
			}
		})
	}
}

func TestForeignFolderIsRefused(t *testing.T) {
	o := tiny(t)
	o.Out = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.Out, "thesis.tex"), []byte("years of work"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := testnet.Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "holds no testnet") || !strings.Contains(err.Error(), "--out") {
		t.Errorf("got %v, want a refusal with advice", err)
	}
	if b, err := os.ReadFile(filepath.Join(o.Out, "thesis.tex")); err != nil || string(b) != "years of work" {
		t.Errorf("the file in it did not survive: %v", err)
	}
}

func TestFolderAtWorkIsRefused(t *testing.T) {
	o := tiny(t)
	if err := os.MkdirAll(o.Out, 0o700); err != nil {
		t.Fatal(err)
	}
	other := flock.New(filepath.Join(o.Out, "testnet.lock"))
	if ok, err := other.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer other.Close()
	if _, err := testnet.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another `mlecs testnet`") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestUnknownTestnetsAndNodes(t *testing.T) {
	empty := t.TempDir()
	if _, err := testnet.Ps(t.Context(), empty); err == nil || !strings.Contains(err.Error(), "testnet run") {
		t.Errorf("ps of no testnet: got %v, want advice", err)
	}
	dir := t.TempDir()
	home := filepath.Join(dir, "nodes", "edge-1")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	state := `{"version":"0.1.0","nodes":[{"name":"edge-1","role":"edge","home":"` + home + `"}]}`
	if err := os.WriteFile(filepath.Join(dir, "testnet.json"), []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := testnet.Logs(t.Context(), dir, "edge-9", false, os.Stderr); err == nil || !strings.Contains(err.Error(), "edge-1") {
		t.Errorf("logs of an unknown node: got %v, want the names there are", err)
	}
	if err := os.WriteFile(filepath.Join(home, "node.log"), []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := testnet.Logs(t.Context(), dir, "edge-1", false, &b); err != nil || b.String() != "one\ntwo\n" {
		t.Errorf("log is %q, %v", b.String(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "testnet.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := testnet.OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "testnet.json") {
		t.Errorf("a broken testnet.json: got %v, want its name", err)
	}
}

func TestFollowedLogGrows(t *testing.T) {
	dir := t.TempDir()
	state := `{"nodes":[{"name":"edge-1","home":"` + dir + `"}]}`
	log := filepath.Join(dir, "node.log")
	for path, text := range map[string]string{filepath.Join(dir, "testnet.json"): state, log: "one\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	lines := make(chan string, 4)
	done := make(chan error, 1)
	go func() {
		done <- testnet.Logs(ctx, dir, "edge-1", true, writerFunc(func(b []byte) { lines <- string(b) }))
	}()
	if got := <-lines; got != "one\n" {
		t.Errorf("got %q", got)
	}
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("two\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := <-lines; got != "two\n" {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end of following is no failure: %v", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
