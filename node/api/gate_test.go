package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node/api"
)

const token = "a-token-that-nobody-guesses"

// gated serves a node behind a gate, with a page.
func gated(t *testing.T) (*api.Gate, *httptest.Server) {
	t.Helper()
	g := api.NewGate(token, []string{"node.example"}, false)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") })
	srv := httptest.NewServer(g.Wrap(api.Handler(&fake{}), page))
	t.Cleanup(srv.Close)
	return g, srv
}

// request makes one request with headers given as name, value, ...
func request(t *testing.T, method, url, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestGate(t *testing.T) {
	g, srv := gated(t)
	code, _ := g.Code()
	login := request(t, "POST", srv.URL+"/login", `{"code":"`+code+`"}`)
	if login.StatusCode != http.StatusNoContent || len(login.Cookies()) != 1 {
		t.Fatalf("login: %s, %v", login.Status, login.Cookies())
	}
	c := login.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, token) {
		t.Errorf("the session's cookie is %s", c)
	}
	session, bearer := c.Name+"="+c.Value, "Bearer "+token
	own := srv.URL
	for _, tc := range []struct {
		name, method, path string
		headers            []string
		want               int
	}{
		{"nothing", "GET", "/v1/status", nil, 401},
		{"nothing, metrics", "GET", "/metrics", nil, 401},
		{"nothing, profiles", "GET", "/debug/pprof/heap", nil, 401},
		{"nothing, around the path", "GET", "//v1/status", nil, 200}, // the page
		{"the token", "GET", "/v1/status", []string{"Authorization", bearer}, 200},
		{"a part of the token", "GET", "/v1/status", []string{"Authorization", bearer[:len(bearer)-1]}, 401},
		{"no token", "GET", "/v1/status", []string{"Authorization", "Bearer "}, 401},
		{"the token in the URL", "GET", "/v1/status?token=" + token, nil, 401},
		{"the session", "GET", "/v1/status", []string{"Cookie", session}, 200},
		{"another session", "GET", "/v1/status", []string{"Cookie", session[:len(session)-4] + "AAAA"}, 401},
		{"the session, to change something, from its page", "POST", "/v1/stop", []string{"Cookie", session, "Origin", own}, 200},
		{"the session, to change something, from nowhere", "POST", "/v1/stop", []string{"Cookie", session}, 401},
		{"the session, from another port's page", "GET", "/v1/status", []string{"Cookie", session, "Sec-Fetch-Site", "same-site"}, 401},
		{"another origin, with everything else", "POST", "/v1/stop", []string{"Cookie", session, "Authorization", bearer, "Origin", "https://evil.example"}, 403},
		{"another port's origin", "GET", "/v1/status", []string{"Cookie", session, "Origin", "http://127.0.0.1:1"}, 403},
		{"a rebound name", "GET", "/v1/status", []string{"Authorization", bearer, "Host", "evil.example"}, 403},
		{"a rebound name, the page", "GET", "/", []string{"Host", "evil.example:80"}, 403},
		{"localhost", "GET", "/v1/status", []string{"Authorization", bearer, "Host", "localhost:4080"}, 200},
		{"an IPv6 address", "GET", "/v1/status", []string{"Authorization", bearer, "Host", "[::1]:4080"}, 200},
		{"a name that was allowed", "GET", "/v1/status", []string{"Authorization", bearer, "Host", "Node.example"}, 200},
		{"the page", "GET", "/", nil, 200},
		{"health", "GET", "/healthz", nil, 200},
		{"readiness", "GET", "/readyz", nil, 200},
		{"a code twice", "POST", "/login", nil, 401},
		{"login by GET", "GET", "/login", nil, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := ""
			if tc.path == "/login" {
				body = `{"code":"` + code + `"}`
			}
			resp := request(t, tc.method, srv.URL+tc.path, body, tc.headers...)
			b, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tc.want {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, tc.want, b)
			}
			if tc.want >= 400 && strings.Contains(string(b), "edge-1") {
				t.Errorf("a refusal tells of the node: %s", b)
			}
			if strings.Contains(string(b), token) {
				t.Errorf("an answer has the token: %s", b)
			}
		})
	}
}

func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "api.token")
	made, err := api.ReadToken(file)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := api.ReadToken(file); err != nil || again != made || len(made) < 40 {
		t.Errorf("made %q, then read %q, %v", made, again, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for _, tc := range []struct {
		name, content string
		mode          os.FileMode
		says          string
	}{
		{"readable by everybody", made, 0o644, "chmod 600"},
		{"writable by the group", made, 0o660, "chmod 600"},
		{"too short", "secret", 0o600, "fewer than"},
		{"empty", "\n", 0o600, "fewer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			os.WriteFile(file, []byte(tc.content), 0o600)
			if err := os.Chmod(file, tc.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := api.ReadToken(file); err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), made) {
				t.Errorf("got %v, want one that says %q", err, tc.says)
			}
		})
	}
}
