package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/node/otlp"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// Config is config.yaml in the home.
type Config struct {
	Name       string     `yaml:"name"`        // human name, told to other members; default: the host's
	Role       string     `yaml:"role"`        // edge or super; empty: what the node's certificate says
	Data       string     `yaml:"data"`        // folder with the node's own rows: train rows stay private, test rows score the node; relative to the home
	Modalities []string   `yaml:"modalities"`  // subset in use; empty: all that the data has
	Family     int        `yaml:"family"`      // of an edge: which of the federation's structures and base models it has
	Domain     string     `yaml:"domain"`      // informative
	Baseline   bool       `yaml:"baseline"`    // also train the standalone comparison, same budget, no exchange
	Threads    int        `yaml:"threads"`     // 0: all
	BaseDType  string     `yaml:"base_dtype"`  // how the node stores its frozen base models in memory: fp32, bf16, int8 or w8a8
	Stream     string     `yaml:"stream"`      // names the node for seeding; default: the node's name
	KeepRounds int        `yaml:"keep_rounds"` // blobs of how many rounds stay on disk; 0: of all
	DiskQuota  int64      `yaml:"disk_quota"`  // MiB that the home may take, beyond which no blobs are stored; 0: no limit
	Renew      bool       `yaml:"renew"`       // as founder or delegate, renew members before their certificates end
	Verify     string     `yaml:"verify"`      // full, spot or off: how much of the aggregates taken over is recomputed
	Log        string     `yaml:"log"`         // debug, info, warn, error
	OTLP       string     `yaml:"otlp"`        // where OpenTelemetry traces of rounds go, http(s)://HOST:PORT; empty: none are made
	API        APIConfig  `yaml:"api"`
	P2P        p2p.Config `yaml:"p2p"`
}

// maxConfig bounds config.yaml.
const maxConfig = 1 << 20

// DefaultConfig is a node named for its host, on a LAN, with a role as its certificate will say.
func DefaultConfig() Config {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "node"
	}
	return Config{Name: name, BaseDType: kernel.Float32.String(), KeepRounds: defaultKeepRounds, Verify: verifySpot, Log: "info", P2P: p2p.DefaultConfig()}
}

// withDefaults fills what may be left out.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Name == "" {
		c.Name = d.Name
	}
	if c.BaseDType == "" {
		c.BaseDType = d.BaseDType
	}
	if c.Verify == "" {
		c.Verify = d.Verify
	}
	if c.Log == "" {
		c.Log = d.Log
	}
	if p := c.P2P; p.Listen == nil && p.Announce == nil && p.Bootstrap == nil && !p.MDNS {
		c.P2P = d.P2P
	} else if p.Listen == nil {
		c.P2P.Listen = d.P2P.Listen
	}
	return c
}

// Validate tells the first key whose value cannot be, and what it could be.
func (c Config) Validate() error {
	switch c.Role {
	case "", string(record.RoleEdge), string(record.RoleSuper):
	default:
		return fmt.Errorf("role: %q is no role; use edge or super, or leave it empty to take the role of the invite", c.Role)
	}
	if err := checkName("name", c.Name, false); err != nil {
		return err
	}
	if err := checkName("domain", c.Domain, true); err != nil {
		return err
	}
	if err := checkName("stream", c.Stream, true); err != nil {
		return err
	}
	for i, m := range c.Modalities {
		if err := checkName("modalities", m, false); err != nil {
			return err
		}
		if slices.Contains(c.Modalities[:i], m) {
			return fmt.Errorf("modalities: %q is listed twice", m)
		}
	}
	if c.Family < 0 || c.Family >= method.MaxFamilies {
		return fmt.Errorf("family: %d is not a family; use 0 to %d, as many as the federation has", c.Family, method.MaxFamilies-1)
	}
	if c.Threads < 0 || c.Threads > 4096 {
		return fmt.Errorf("threads: %d is not a number of threads; use 0 for all processors", c.Threads)
	}
	if _, err := kernel.ParseDType(c.BaseDType); err != nil {
		return fmt.Errorf("base_dtype: %w", err)
	}
	if !slices.Contains([]string{verifyFull, verifySpot, verifyOff}, c.Verify) {
		return fmt.Errorf("verify: %q is no way to verify aggregates; use full, spot or off", c.Verify)
	}
	if c.KeepRounds < 0 {
		return fmt.Errorf("keep_rounds: %d is no number of rounds; use 0 to keep all", c.KeepRounds)
	}
	if c.DiskQuota < 0 || c.DiskQuota > math.MaxInt64>>20 {
		return fmt.Errorf("disk_quota: %d MiB are no quota; use 0 for none", c.DiskQuota)
	}
	if _, err := c.logLevel(); err != nil {
		return err
	}
	if c.OTLP != "" {
		if err := otlp.Check(c.OTLP); err != nil {
			return fmt.Errorf("otlp: %w", err)
		}
	}
	if err := c.API.Validate(); err != nil {
		return err
	}
	return c.P2P.Validate() // names its keys as p2p.KEY
}

// checkName refuses names that could not be printed in a table.
func checkName(key, s string, empty bool) error {
	switch {
	case s == "" && !empty:
		return fmt.Errorf("%s: must not be empty", key)
	case len(s) > 64:
		return fmt.Errorf("%s: %d bytes are too long; use at most 64", key, len(s))
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%s: %q holds a character that cannot be printed", key, s)
	}
	return nil
}

func (c Config) logLevel() (slog.Level, error) {
	var l slog.Level
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log) {
		return l, fmt.Errorf("log: %q is no level; use debug, info, warn or error", c.Log)
	}
	return l, l.UnmarshalText([]byte(c.Log))
}

// stream names the node for seeding.
func (c Config) stream() string {
	if c.Stream != "" {
		return c.Stream
	}
	return c.Name
}

// ParseConfig reads config.yaml, strictly: errors name file, line and key. file is used in errors only.
func ParseConfig(file string, b []byte) (Config, error) {
	if len(b) > maxConfig {
		return Config{}, fmt.Errorf("%s: %d bytes are too large for a config", file, len(b))
	}
	// Decoding into the defaults keeps them for keys that are absent.
	c := DefaultConfig()
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, configError(file, b, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%s: only one YAML document may be in a config", file)
	}
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		key, _, _ := strings.Cut(err.Error(), ":")
		key, _, _ = strings.Cut(key, "[") // one entry of a list
		if line := keyLine(b, key); line > 0 {
			return Config{}, fmt.Errorf("%s:%d: %w", file, line, err)
		}
		return Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`^field (.+) not found in type \S+$`)
	yamlType    = regexp.MustCompile("^cannot unmarshal \\S+(?: `(.*)`)? into (.+)$")
	goToYAML    = map[string]string{"int": "a whole number", "bool": "true or false", "string": "text", "[]string": "a list"}
)

// configError turns the YAML package's error, which names Go types, into one that names the file's lines and keys.
func configError(file string, b []byte, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var te *yaml.TypeError
	if errors.As(err, &te) && len(te.Errors) > 0 {
		text = te.Errors[0]
	}
	m := yamlLine.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%s: %s", file, text)
	}
	line, _ := strconv.Atoi(m[1])
	if u := yamlUnknown.FindStringSubmatch(m[2]); u != nil {
		return api.Advise(fmt.Errorf("%s:%d: unknown key %q", file, line, u[1]), "%s", keysAdvice(keyAt(b, line)))
	}
	if u := yamlType.FindStringSubmatch(m[2]); u != nil {
		want, ok := goToYAML[u[2]]
		if !ok {
			want = "a mapping"
		}
		return fmt.Errorf("%s:%d: %s: must be %s", file, line, keyAt(b, line), want)
	}
	return fmt.Errorf("%s:%d: %s", file, line, m[2])
}

// walkKeys calls f for every key of the config with its dotted path and the lines of key and value.
func walkKeys(b []byte, f func(path string, keyLine, valueLine int)) {
	var doc yaml.Node
	if yaml.Unmarshal(b, &doc) != nil || len(doc.Content) == 0 {
		return
	}
	var walk func(prefix string, n *yaml.Node)
	walk = func(prefix string, n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			path := prefix + n.Content[i].Value
			f(path, n.Content[i].Line, n.Content[i+1].Line)
			walk(path+".", n.Content[i+1])
		}
	}
	walk("", doc.Content[0])
}

// keyLine is the line of the key with a dotted path, 0 if absent.
func keyLine(b []byte, key string) (line int) {
	walkKeys(b, func(path string, at, _ int) {
		if path == key {
			line = at
		}
	})
	return line
}

// keyAt is the key whose value is on or before line, innermost last.
func keyAt(b []byte, line int) string {
	key := "config"
	walkKeys(b, func(path string, _, value int) {
		if value <= line {
			key = path
		}
	})
	return key
}
