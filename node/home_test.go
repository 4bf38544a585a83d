package node_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node"
)

func TestInitMakesAPrivateHome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	cfg := node.DefaultConfig()
	cfg.Name, cfg.Role, cfg.Modalities = "kitchen", "edge", []string{"image"}
	h, err := node.Init(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{".": 0o700, "config.yaml": 0o600, "identity.key": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	got, err := h.Config()
	if err != nil {
		t.Fatal(err)
	}
	got.P2P, cfg.P2P = node.DefaultConfig().P2P, node.DefaultConfig().P2P
	cfg.API.Hosts = []string{} // as no list is written
	if !reflect.DeepEqual(got, cfg) {
		t.Errorf("config is %+v, want %+v", got, cfg)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "# Folder with this node's own rows") {
		t.Errorf("config.yaml does not explain its keys:\n%s", text)
	}
}

func TestInitNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	h, err := node.Init(dir, node.Config{Name: "first"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := h.PeerID()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Init(dir, node.Config{Name: "second"}); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second Init: got %v, want ErrExist", err)
	}
	if c, err := h.Config(); err != nil || c.Name != "first" {
		t.Errorf("config is of %q (%v), want first", c.Name, err)
	}
	if err := os.Remove(filepath.Join(dir, "config.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Init(dir, node.Config{Name: "third"}); err != nil {
		t.Fatalf("Init beside an identity: %v", err)
	}
	if after, err := h.PeerID(); err != nil || after != before {
		t.Errorf("peer id %s became %s (%v)", before, after, err)
	}
}

func TestInitRefusesABadConfig(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	if _, err := node.Init(dir, node.Config{Role: "king"}); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the home was made all the same (%v)", err)
	}
}

func TestKeyFileErrors(t *testing.T) {
	secret := "c2VjcmV0IGJ5dGVzIHRoYXQgYXJlIG5vIGtleQ=="
	cases := []struct {
		name, content string
		mode          fs.FileMode
		want          string
	}{
		{"readable by others", secret, 0o644, "chmod 600"},
		{"not base64", "no key!", 0o600, "does not hold"},
		{"not a key", secret, 0o600, "does not hold"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "identity.key")
			if err := os.WriteFile(path, []byte(tc.content), tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := node.Init(dir, node.Config{})
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), tc.content) {
				t.Errorf("error %q: want %q in it, and nothing of the file", err, tc.want)
			}
		})
	}
}

func TestOpenHomeWithoutInit(t *testing.T) {
	if _, err := node.OpenHome(t.TempDir()); err == nil || !strings.Contains(err.Error(), "mlecs init") {
		t.Errorf("got %v, want advice to run mlecs init", err)
	}
}

func TestDefaultHome(t *testing.T) {
	t.Setenv("MLECS_HOME", "/somewhere")
	if got := node.DefaultHome(); got != "/somewhere" {
		t.Errorf("got %s", got)
	}
	t.Setenv("MLECS_HOME", "")
	t.Setenv("HOME", "/home/me")
	if got := node.DefaultHome(); got != "/home/me/.mlecs" {
		t.Errorf("got %s", got)
	}
}
