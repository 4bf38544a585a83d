package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// Remote is where a node answers over TCP, and what opens it.
type Remote struct {
	Address   string // http(s)://HOST:PORT; plain http only to this machine, since the token would travel unencrypted
	TokenFile string // holds the node's token; not open to others
	CAFile    string // PEM certificates to trust in place of the system's; may be empty
}

// dialPatience bounds how long a node may take to show that it is there.
const dialPatience = 5 * time.Second

// DialRemote connects to a node over TCP; an error that Is ErrNotRunning if nothing answers there.
func DialRemote(ctx context.Context, r Remote) (*Client, error) {
	base, err := r.url()
	if err != nil {
		return nil, err
	}
	token, err := readToken(r.TokenFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Advise(err, "copy the node's api.token here, and name it with --token-file")
	}
	if err != nil {
		return nil, err
	}
	trust, err := r.trust()
	if err != nil {
		return nil, err
	}
	c := &Client{
		at: "at " + base.String(), hint: "see whether it runs, and whether `listen` under `api` in its config.yaml is this address", base: base.String(),
		http: &http.Client{
			Transport: bearer{token, &http.Transport{
				Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialPatience}).DialContext, TLSHandshakeTimeout: dialPatience, MaxIdleConns: 2,
				IdleConnTimeout: 30 * time.Second, ExpectContinueTimeout: 5 * time.Second,
				TLSClientConfig: &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12},
			}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for this node
		},
	}
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	if _, err := c.LogLevels(ctx); err != nil { // a small answer that takes the token
		c.Close()
		return nil, r.explain(c, err)
	}
	return c, nil
}

// Validate tells whether the address can be one.
func (r Remote) Validate() error {
	_, err := r.url()
	return err
}

func (r Remote) url() (*url.URL, error) {
	u, err := url.Parse(r.Address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("address %.80q is not http(s)://HOST:PORT", r.Address)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, Advise(fmt.Errorf("to %s the token would travel unencrypted", u.Host),
			"give the node a certificate (`tls_cert` under `api`) and use https, or tunnel: ssh -L 4080:127.0.0.1:4080 %s", u.Hostname())
	}
	u.Path = ""
	return u, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// trust is the certificates that may vouch for the node; nil: the system's.
func (r Remote) trust() (*x509.CertPool, error) {
	if r.CAFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificates to trust: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read the certificates to trust: %s holds none as PEM", r.CAFile)
	}
	return pool, nil
}

// explain tells what to do about a node that cannot be asked.
func (r Remote) explain(c *Client, err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dial *net.OpError
	switch {
	case errors.Is(err, ErrUnauthorized):
		return Advise(fmt.Errorf("the node %s does not know the token in %s: %w", c.at, r.TokenFile, ErrUnauthorized), "copy api.token from the node's home anew")
	case errors.As(err, &unknown):
		return Advise(fmt.Errorf("connect to the node %s: nobody that this machine trusts vouches for its certificate", c.at), "if it is the node's own, name a copy of it with --ca-file")
	case errors.As(err, &name):
		return Advise(fmt.Errorf("connect to the node %s: %w", c.at, name), "use a name or an address that its certificate is for")
	case errors.Is(err, http.ErrSchemeMismatch):
		return Advise(fmt.Errorf("connect to the node %s: it does not speak TLS", c.at), "use http://, or give the node a certificate (`tls_cert` under `api`)")
	case errors.As(err, &dial), errors.Is(err, context.DeadlineExceeded):
		return Advise(fmt.Errorf("connect to the node %s: %w", c.at, ErrNotRunning), "%s", c.hint)
	}
	return err
}

// bearer adds the token to requests.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client reach the transport's.
func (b bearer) CloseIdleConnections() {
	if t, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
