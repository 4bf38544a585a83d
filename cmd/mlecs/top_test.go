package main

import (
	"strings"
	"testing"
)

func TestTopWithoutATerminal(t *testing.T) {
	home := t.TempDir()
	t.Setenv("MLECS_HOME", home)
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"nothing to follow", []string{"top", "--once"}, exitNoNode, []string{"no testnet", "mlecs testnet up"}},
		{"no such testnet", []string{"top", "--out", home}, exitFailure, []string{"no testnet in", "--out DIR"}},
		{"no terminal", []string{"top", "--home", home}, exitFailure, []string{"terminal", "--once"}},
		{"a node that does not run", []string{"top", "--json", "--home", home}, exitFailure, []string{home}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, code := mlecs(c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(errOut, want) {
					t.Errorf("%q lacks %q", errOut, want)
				}
			}
		})
	}
}
