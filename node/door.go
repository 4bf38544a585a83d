package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/node/web"
)

// door is the control API over TCP, with the node's page. It opens at start if the config says where, else when it is first asked for.
type door struct {
	home *Home
	cfg  APIConfig
	api  http.Handler

	mu     sync.Mutex
	gate   *api.Gate
	url    string
	opened chan net.Listener
}

func newDoor(h *Home, cfg APIConfig, handler http.Handler) *door {
	return &door{home: h, cfg: cfg, api: handler, opened: make(chan net.Listener, 1)}
}

// open begins to listen, unless it does already.
func (d *door) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gate != nil {
		return nil
	}
	token, err := api.ReadToken(d.home.inHome(cmp.Or(d.cfg.TokenFile, tokenFile)))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", cmp.Or(d.cfg.Listen, anyLoopback))
	if err != nil {
		return api.Advise(fmt.Errorf("open the API on %s: %w", d.cfg.Listen, err), "choose another address for `listen` under `api` in %s", d.home.path(configFile))
	}
	d.url = d.cfg.url(ln.Addr())
	if d.cfg.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(d.home.inHome(d.cfg.TLSCert), d.home.inHome(d.cfg.TLSKey))
		if err != nil {
			ln.Close()
			return fmt.Errorf("read the API's certificate: %w", err)
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	d.gate = api.NewGate(token, d.cfg.Hosts, d.cfg.TLSCert != "")
	d.opened <- ln
	return nil
}

// serve is the service behind the door.
func (d *door) serve(ctx context.Context) error {
	select {
	case ln := <-d.opened:
		return api.Serve(ctx, ln, d.gate.Wrap(d.api, web.Handler()))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// login makes a link to the node's page.
func (d *door) login() (*api.Login, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	code, expires := d.gate.Code()
	return &api.Login{URL: d.url + "/#login=" + code, Expires: expires.Truncate(time.Second).Unix()}, nil
}
