package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// APIConfig is the part of the config about the control API over TCP. The unix socket in the home needs none.
type APIConfig struct {
	Listen    string   `yaml:"listen"`     // IP:PORT; empty: not until `mlecs dashboard` asks for it, then on a free port of loopback
	Hosts     []string `yaml:"hosts"`      // names that the node is asked by, beside its addresses and localhost
	TokenFile string   `yaml:"token_file"` // 0600, made if it is not there; default: api.token in the home
	TLSCert   string   `yaml:"tls_cert"`   // PEM
	TLSKey    string   `yaml:"tls_key"`    // PEM
	Insecure  bool     `yaml:"insecure"`   // allow to listen beyond loopback without TLS, as in a container behind a proxy
}

const tokenFile = "api.token"

// anyLoopback is where the node listens when it was not told to.
const anyLoopback = "127.0.0.1:0"

// Validate names its keys as api.KEY.
func (c APIConfig) Validate() error {
	if c.Listen != "" {
		addr, err := netip.ParseAddrPort(c.Listen)
		if err != nil {
			return fmt.Errorf("api.listen: %q is not IP:PORT, as 127.0.0.1:4080", c.Listen)
		}
		if !addr.Addr().IsLoopback() && c.TLSCert == "" && !c.Insecure {
			return fmt.Errorf("api.listen: %s can be reached by other machines: set tls_cert and tls_key, or insecure where something else encrypts", c.Listen)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("api.tls_cert: tls_cert and tls_key belong together")
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/: ") {
			return fmt.Errorf("api.hosts: %q is not a host name", h)
		}
	}
	return nil
}

// url is where a browser finds the node that listens on addr.
func (c APIConfig) url(addr net.Addr) string {
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	host, port := "127.0.0.1", ""
	if a, err := netip.ParseAddrPort(addr.String()); err == nil {
		port = strconv.Itoa(int(a.Port()))
		if !a.Addr().IsUnspecified() {
			host = a.Addr().Unmap().String()
		}
	}
	if len(c.Hosts) > 0 && c.Listen != "" {
		host = c.Hosts[0]
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// inHome is a path of the config, relative to the home.
func (h *Home) inHome(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return h.path(path)
}
