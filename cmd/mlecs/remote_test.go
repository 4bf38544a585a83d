package main

import (
	"strings"
	"testing"
)

func TestFlagsOfARemoteNode(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"an address without a token", []string{"status", "--address", "https://node.example:4080"}, exitUsage, "--token-file"},
		{"a token without an address", []string{"rounds", "--token-file", "x"}, exitUsage, "--address"},
		{"an address and a home", []string{"peers", "--address", "https://node.example:4080", "--token-file", "x", "--home", "y"}, exitUsage, "--home"},
		{"no address at all", []string{"watch", "--address", "node.example", "--token-file", "x"}, exitUsage, "HOST:PORT"},
		{"no such token file", []string{"metrics", "--address", "https://node.example:4080", "--token-file", "absent"}, exitFailure, "api.token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, code := mlecs(c.args...)
			if code != c.code || !strings.Contains(errOut, c.says) {
				t.Errorf("exit code %d (want %d), %q lacks %q", code, c.code, errOut, c.says)
			}
		})
	}
}
