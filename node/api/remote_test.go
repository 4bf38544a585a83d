package api_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node/api"
)

// written is a file of the given content that only its owner can read.
func written(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRemoteNode(t *testing.T) {
	_, plain := gated(t)
	g := api.NewGate(token, nil, true)
	secure := httptest.NewTLSServer(g.Wrap(api.Handler(&fake{}), http.NotFoundHandler()))
	t.Cleanup(secure.Close)
	right, wrong := written(t, "api.token", token+"\n"), written(t, "api.token", "another-token-of-some-node")
	ca := written(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	open := written(t, "api.token", token)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct {
		name   string
		r      api.Remote
		is     error
		says   string // of the error; empty: there is none
		advice string // of its advice
	}{
		{"on this machine", api.Remote{Address: plain.URL, TokenFile: right}, nil, "", ""},
		{"a slash at the end", api.Remote{Address: plain.URL + "/", TokenFile: right}, nil, "", ""},
		{"over TLS", api.Remote{Address: secure.URL, TokenFile: right, CAFile: ca}, nil, "", ""},
		{"a certificate that nobody vouches for", api.Remote{Address: secure.URL, TokenFile: right}, nil, "certificate", "--ca-file"},
		{"TLS where there is none", api.Remote{Address: strings.Replace(plain.URL, "http:", "https:", 1), TokenFile: right}, nil, "does not speak TLS", "http://"},
		{"another node's token", api.Remote{Address: plain.URL, TokenFile: wrong}, api.ErrUnauthorized, "token", "api.token"},
		{"no token file", api.Remote{Address: plain.URL, TokenFile: right + ".absent"}, os.ErrNotExist, "token", "--token-file"},
		{"a token that others can read", api.Remote{Address: plain.URL, TokenFile: open}, nil, "open to others", "chmod 600"},
		{"nothing listens", api.Remote{Address: gone.URL, TokenFile: right}, api.ErrNotRunning, gone.URL, "listen"},
		{"a token in the clear", api.Remote{Address: "http://192.0.2.1:4080", TokenFile: right}, nil, "unencrypted", "https"},
		{"no address", api.Remote{Address: "node.example:4080", TokenFile: right}, nil, "http(s)://HOST:PORT", ""},
		{"an address with a path", api.Remote{Address: plain.URL + "/v1", TokenFile: right}, nil, "http(s)://HOST:PORT", ""},
		{"no certificates to trust", api.Remote{Address: secure.URL, TokenFile: right, CAFile: right}, nil, "PEM", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := api.DialRemote(t.Context(), c.r)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				if s, err := client.Status(t.Context()); err != nil || s.Name != "edge-1" {
					t.Errorf("status %v, %v", s, err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v (want %v, with %q)", err, c.is, c.says)
			}
			var advised *api.Error
			if c.advice != "" && (!errors.As(err, &advised) || !strings.Contains(advised.Advice, c.advice)) {
				t.Errorf("%v lacks the advice %q", err, c.advice)
			}
			if strings.Contains(err.Error(), token) {
				t.Errorf("%v tells the token", err)
			}
		})
	}
}

// TestTokenStaysWithTheNode: a redirect to another server does not take it along.
func TestTokenStaysWithTheNode(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another server was asked, with the header %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	if _, err := api.DialRemote(t.Context(), api.Remote{Address: srv.URL, TokenFile: written(t, "api.token", token)}); err == nil {
		t.Error("a redirect was taken for the node")
	}
}
