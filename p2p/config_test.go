package p2p_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/p2p"
)

func TestConfigValidate(t *testing.T) {
	if err := p2p.DefaultConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	const peer = "/p2p/12D3KooWDAVKosfEZ6EQ9ve2KgTmpXD84uxqHhvaES6NjbrM6Pa9"
	for _, c := range []struct {
		name   string
		change func(*p2p.Config)
		want   string // "" if valid
	}{
		{"IPv6 and QUIC", func(c *p2p.Config) { c.Listen = []string{"/ip6/::/tcp/4001", "/ip6/::1/udp/4001/quic-v1"} }, ""},
		{"announced name", func(c *p2p.Config) { c.Announce = []string{"/dns4/node.example.org/tcp/4001"} }, ""},
		{"bootstrap by name", func(c *p2p.Config) { c.Bootstrap = []string{"/dns/node.example.org/udp/4001/quic-v1" + peer} }, ""},
		{"reached through super-peers alone", func(c *p2p.Config) { c.Listen = nil }, ""},
		{"nothing to be reached at", func(c *p2p.Config) { c.Listen, c.Relay = nil, false }, "p2p.listen is empty"},
		{"limits of a preset, one changed", func(c *p2p.Config) { c.Limits = p2p.Limits{Preset: "local", Members: 8} }, ""},
		{"no such preset", func(c *p2p.Config) { c.Limits.Preset = "cloud" }, "p2p.limits.preset"},
		{"a negative limit", func(c *p2p.Config) { c.Limits.Memory = -1 }, "p2p.limits"},
		{"an absurd limit", func(c *p2p.Config) { c.Limits.Memory = 1 << 30 }, "p2p.limits"},
		{"host and port", func(c *p2p.Config) { c.Listen = append(c.Listen, "0.0.0.0:4001") }, `p2p.listen[2]: "0.0.0.0:4001" is no multiaddr`},
		{"listen with an id", func(c *p2p.Config) { c.Listen = []string{"/ip4/0.0.0.0/tcp/4001" + peer} }, "p2p.listen[0]"},
		{"websocket", func(c *p2p.Config) { c.Listen = []string{"/ip4/0.0.0.0/tcp/4001/ws"} }, "want /ip4|ip6"},
		{"plain UDP", func(c *p2p.Config) { c.Listen = []string{"/ip4/0.0.0.0/udp/4001"} }, "want /ip4|ip6"},
		{"announce without port", func(c *p2p.Config) { c.Announce = []string{"/ip4/192.0.2.1"} }, "p2p.announce[0]"},
		{"bootstrap without id", func(c *p2p.Config) { c.Bootstrap = []string{"/ip4/192.0.2.1/tcp/4001"} }, "p2p.bootstrap[0]"},
		{"bootstrap with a damaged id", func(c *p2p.Config) { c.Bootstrap = []string{"/ip4/192.0.2.1/tcp/4001/p2p/12D3Koo"} }, "p2p.bootstrap[0]"},
		{"bootstrap with an id alone", func(c *p2p.Config) { c.Bootstrap = []string{peer} }, "p2p.bootstrap[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := p2p.DefaultConfig()
			c.change(&cfg)
			err := cfg.Validate()
			if c.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// docs/operating.md has the presets in a table.
func TestPresetsAreDocumented(t *testing.T) {
	text := string(must[[]byte](t)(os.ReadFile("../docs/operating.md")))
	for _, p := range p2p.Presets() {
		row := fmt.Sprintf("| `%s` | %d | %d | %d | %d | %d | %d |", p.Preset, p.Members, p.Connections, p.PerAddress, p.Memory, p.Files, p.Relayed)
		if !strings.Contains(text, row) {
			t.Errorf("docs/operating.md lacks %s", row)
		}
	}
}
