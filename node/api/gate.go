package api

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long a session and a login code last, and how many codes may wait.
const (
	sessionLife = 12 * time.Hour
	codeLife    = 5 * time.Minute
	maxCodes    = 16
)

// Gate lets requests over TCP reach the API: with the token as a bearer, or with the cookie of a session that a one-time code began.
// A token or session never is part of a URL, and the code is so only behind the #, which browsers do not send.
//
// Against pages of other origins: the Host has to be an IP address, localhost or a name that was allowed (a page that makes its own name
// resolve to this node, DNS rebinding, carries that name), and an Origin has to be the Host's. Cookies know no ports, so that the cookie's
// name comes from the token: several nodes on one machine do not displace each other's sessions.
type Gate struct {
	token  string
	hosts  []string
	secure bool
	now    func() time.Time

	mu    sync.Mutex
	codes map[string]time.Time // when they end
}

// NewGate makes a gate for a token. hosts are names that the Host of a request may have; secure says that requests come over TLS.
func NewGate(token string, hosts []string, secure bool) *Gate {
	return &Gate{token: token, hosts: hosts, secure: secure, now: time.Now, codes: map[string]time.Time{}}
}

// Code makes a code that begins one session within five minutes.
func (g *Gate) Code() (code string, expires time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for c, end := range g.codes {
		if now.After(end) || len(g.codes) >= maxCodes {
			delete(g.codes, c)
		}
	}
	code, expires = rand.Text(), now.Add(codeLife)
	g.codes[code] = expires
	return code, expires
}

// redeem uses a code up.
func (g *Gate) redeem(code string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	end, ok := g.codes[code]
	delete(g.codes, code)
	return ok && g.now().Before(end)
}

// Login is a link that begins a session in a browser, once.
type Login struct {
	URL     string `json:"url"`
	Expires int64  `json:"expires"` // Unix seconds
}

// LoginRequest begins a session.
type LoginRequest struct {
	Code string `json:"code"`
}

// Wrap guards an API. Everybody gets to page, which must tell nothing about the node, and to the API's /healthz and /readyz.
func (g *Gate) Wrap(guarded, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		switch err := g.checkOrigin(r); {
		case err != nil:
			writeError(w, err)
		case r.URL.Path == "/healthz" || r.URL.Path == "/readyz":
			guarded.ServeHTTP(w, r)
		case r.URL.Path == "/login":
			g.login(w, r)
		case !isGuarded(r.URL.Path):
			page.ServeHTTP(w, r)
		case !g.knows(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="mlecs"`)
			writeError(w, Advise(ErrUnauthorized, "send the node's token as a bearer, or open the link of `mlecs dashboard`"))
		default:
			guarded.ServeHTTP(w, r)
		}
	})
}

func isGuarded(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Contains([]string{"v1", "metrics", "debug"}, first)
}

// checkOrigin refuses requests that a page of another origin makes.
func (g *Gate) checkOrigin(r *http.Request) error {
	if !g.mayBe(r.Host) {
		return Advise(fmt.Errorf("%w: this node is not known as host %.80q", ErrForbidden, r.Host), "ask by its address, or add the name to `hosts` under `api` in its config.yaml")
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			return fmt.Errorf("%w: it comes from a page of %.80q", ErrForbidden, origin)
		}
	}
	return nil
}

func (g *Gate) mayBe(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return strings.EqualFold(host, "localhost") || slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// knows tells whether a request has the token, or a session.
func (g *Gate) knows(r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return subtle.ConstantTimeCompare([]byte(bearer), []byte(g.token)) == 1
	}
	cookie, err := r.Cookie(g.cookieName())
	if err != nil || !g.isSession(cookie.Value) {
		return false
	}
	// Pages of other ports of one host are of one site, to which SameSite does not apply.
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Header.Get("Origin") != ""
}

// login begins a session by a code.
func (g *Gate) login(w http.ResponseWriter, r *http.Request) {
	var req LoginRequest
	if r.Method != http.MethodPost {
		writeError(w, fmt.Errorf("%w: POST a code", ErrBadRequest))
		return
	}
	if err := readJSON(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	if !g.redeem(req.Code) {
		writeError(w, Advise(fmt.Errorf("%w: this login link was used before, or is too old", ErrUnauthorized), "get another one with: mlecs dashboard"))
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: g.cookieName(), Value: g.newSession(), Path: "/", MaxAge: int(sessionLife.Seconds()),
		HttpOnly: true, Secure: g.secure, SameSite: http.SameSiteStrictMode,
	})
	w.WriteHeader(http.StatusNoContent)
}

// A session is its end and a code that only who has the token can make: it outlives the process, and ends with the token.
func (g *Gate) newSession() string {
	end := binary.BigEndian.AppendUint64(nil, uint64(g.now().Add(sessionLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(end, g.mac("session", end)...))
}

func (g *Gate) isSession(value string) bool {
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(b) != 8+sha256.Size {
		return false
	}
	return hmac.Equal(b[8:], g.mac("session", b[:8])) && uint64(g.now().Unix()) < binary.BigEndian.Uint64(b[:8])
}

func (g *Gate) cookieName() string { return "mlecs-" + hex.EncodeToString(g.mac("cookie", nil)[:4]) }

func (g *Gate) mac(what string, b []byte) []byte {
	h := hmac.New(sha256.New, []byte(g.token))
	h.Write([]byte(what + "\n"))
	h.Write(b)
	return h.Sum(nil)
}
