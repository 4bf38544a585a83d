package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// TestDoor: a node that was told no address listens once a login link is asked for, and the link's code opens the API.
func TestDoor(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 1, Deadline: 60_000})
	m := c.nodes["super"]
	m.start()
	if _, err := os.Stat(m.home.path(tokenFile)); err == nil {
		t.Error("a token was made before anybody asked for TCP")
	}
	client, err := api.Dial(m.home.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	login, err := client.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base, code, ok := strings.Cut(login.URL, "/#login=")
	if !ok || !strings.HasPrefix(base, "http://127.0.0.1:") {
		t.Fatalf("the link is %s", login.URL)
	}
	if status, _ := fetch(t, http.DefaultClient, "GET", base+"/v1/status", ""); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
	if status, page := fetch(t, http.DefaultClient, "GET", base+"/", ""); status != http.StatusOK || !strings.Contains(page, "<title>") || strings.Contains(page, "super") {
		t.Errorf("the page: %d, %s", status, page)
	}
	b, err := os.ReadFile(m.home.path(tokenFile))
	if err != nil {
		t.Fatal(err)
	}
	token := string(bytes.TrimSpace(b))
	if status, body := fetch(t, http.DefaultClient, "GET", base+"/v1/status", token); status != http.StatusOK || !strings.Contains(body, `"super"`) {
		t.Errorf("with the token: %d, %s", status, body)
	}
	resp, err := http.Post(base+"/login", "application/json", strings.NewReader(`{"code":"`+code+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("the code: %s", resp.Status)
	}
	again, err := client.Login(t.Context())
	if err != nil || !strings.HasPrefix(again.URL, base+"/#") || again.URL == login.URL {
		t.Errorf("a second link is %v, %v", again, err)
	}
	m.halt()
	if logs := m.logs.String(); strings.Contains(logs, token) || strings.Contains(logs, code) {
		t.Error("the log has the token or the code")
	}
}

// TestDoorWithTLS: the configured address is open from the start, with the configured certificate.
func TestDoorWithTLS(t *testing.T) {
	h := &Home{Dir: t.TempDir()}
	pool := writeCertificate(t, h.Dir)
	d := newDoor(h, APIConfig{Listen: "127.0.0.1:0", TLSCert: "cert.pem", TLSKey: "key.pem"}, http.NotFoundHandler())
	if err := d.open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.serve(ctx) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	if status, page := fetch(t, client, "GET", d.url+"/", ""); !strings.HasPrefix(d.url, "https://") || status != http.StatusOK {
		t.Errorf("%s: %d, %s", d.url, status, page)
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestDoorRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []struct {
		name string
		cfg  APIConfig
		says string
	}{
		{"an address in use", APIConfig{Listen: taken.Addr().String()}, "another address"},
		{"a certificate that is not there", APIConfig{TLSCert: "a.pem", TLSKey: "b.pem"}, "a.pem"},
		{"a token file in no folder", APIConfig{TokenFile: "no/where"}, "token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDoor(&Home{Dir: t.TempDir()}, tc.cfg, http.NotFoundHandler())
			if err := d.open(); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want one that says %q", err, tc.says)
			}
		})
	}
}

func fetch(t *testing.T, client *http.Client, method, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// writeCertificate writes cert.pem and key.pem for 127.0.0.1, and gives the pool that trusts them.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	for name, b := range map[string][]byte{"cert.pem": certPEM, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}
