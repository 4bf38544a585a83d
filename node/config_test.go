package node_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node"
)

func TestParseConfig(t *testing.T) {
	cases := []struct {
		name string
		yaml string
		want func(*node.Config)
	}{
		{"empty file is the default", "", func(c *node.Config) {}},
		{"comments alone", "# nothing here\n", func(c *node.Config) {}},
		{"all keys of an edge", "name: kitchen\nrole: edge\ndata: rows\nmodalities: [image, sensor]\ndomain: home 1\nbaseline: true\nthreads: 2\nbase_dtype: int8\nstream: e1\nlog: debug\np2p:\n  listen: [/ip4/127.0.0.1/tcp/0]\n  mdns: false\n",
			func(c *node.Config) {
				c.Name, c.Role, c.Data, c.Modalities = "kitchen", "edge", "rows", []string{"image", "sensor"}
				c.Domain, c.Baseline, c.Threads, c.BaseDType, c.Stream, c.Log = "home 1", true, 2, "int8", "e1", "debug"
				c.P2P.Listen, c.P2P.MDNS = []string{"/ip4/127.0.0.1/tcp/0"}, false
			}},
		{"absent p2p keys keep their defaults", "p2p:\n  bootstrap: []\n", func(c *node.Config) { c.P2P.Bootstrap = []string{} }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			want := node.DefaultConfig()
			tc.want(&want)
			got, err := node.ParseConfig("config.yaml", []byte(tc.yaml))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestParseConfigErrorsNameLineAndKey(t *testing.T) {
	cases := []struct {
		name, yaml string
		want       []string
	}{
		{"unknown key", "name: a\nrolle: edge\n", []string{"c.yaml:2", `"rolle"`, "modalities"}},
		{"unknown key under p2p", "p2p:\n  lisen: []\n", []string{"c.yaml:2", `"lisen"`, "bootstrap"}},
		{"key twice", "name: a\nname: b\n", []string{"c.yaml", "2", "name"}},
		{"wrong type", "name: a\nthreads: many\n", []string{"c.yaml:2", "threads", "whole number"}},
		{"wrong type in a list", "modalities:\n  - a\n  - {}\n", []string{"c.yaml:3", "modalities", "text"}},
		{"text for a list", "modalities: image\n", []string{"c.yaml:1", "modalities", "list"}},
		{"text for a mapping", "p2p: off\n", []string{"c.yaml:1", "p2p", "mapping"}},
		{"syntax", "name: [a\n", []string{"c.yaml:"}},
		{"two documents", "name: a\n---\nname: b\n", []string{"one YAML document"}},
		{"bad role", "name: a\n\nrole: king\n", []string{"c.yaml:3", "role", "edge or super"}},
		{"negative threads", "threads: -1\n", []string{"c.yaml:1", "threads"}},
		{"bad base dtype", "base_dtype: fp8\n", []string{"c.yaml:1", "base_dtype", "bf16"}},
		{"bad level", "log: loud\n", []string{"c.yaml:1", "log", "debug"}},
		{"modality twice", "modalities: [a, a]\n", []string{"c.yaml:1", "twice"}},
		{"unprintable name", `name: "a\tb"`, []string{"c.yaml:1", "name"}},
		{"long name", "name: " + strings.Repeat("n", 65), []string{"c.yaml:1", "at most 64"}},
		{"unknown key under api", "api:\n  lisen: x\n", []string{"c.yaml:2", `"lisen"`, "tls_cert"}},
		{"an API address without a port", "api:\n  listen: localhost\n", []string{"c.yaml:2", "api.listen", "IP:PORT"}},
		{"an API for everybody without TLS", "api:\n  listen: 0.0.0.0:4080\n", []string{"c.yaml:2", "tls_cert", "insecure"}},
		{"a certificate without its key", "api:\n  tls_cert: a.pem\n", []string{"c.yaml:2", "tls_key"}},
		{"a URL for a host", "api:\n  hosts: [\"https://a.example\"]\n", []string{"c.yaml:2", "host name"}},
		{"bad address", "p2p:\n  listen: [localhost]\n", []string{"c.yaml:2", "p2p", "localhost"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := node.ParseConfig("c.yaml", []byte(tc.yaml))
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		})
	}
}

// FuzzParseConfig: no input panics, and what is accepted survives being written and read again.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("name: a\nrole: super\nmodalities: [x, y]\np2p:\n  mdns: true\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("name: !!binary aGk=\nthreads: 0x10\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := node.ParseConfig("fuzz", b)
		if err != nil {
			return
		}
		out, err := c.YAML()
		if err != nil {
			t.Fatalf("write %+v: %v", c, err)
		}
		again, err := node.ParseConfig("written", out)
		if err != nil {
			t.Fatalf("read again: %v\n%s", err, out)
		}
		twice, err := again.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if string(twice) != string(out) {
			t.Errorf("written and read again it differs:\n%s\n%s", out, twice)
		}
	})
}
