package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxAnswer bounds what a client reads: the records of a long-lived federation, not more.
const maxAnswer = 256 << 20

// Client talks to a running node. Safe for concurrent use.
type Client struct {
	at   string // how messages call the node
	hint string // what to do when it does not answer
	base string // what paths are appended to
	http *http.Client
}

var _ Source = (*Client)(nil)

// Dial connects to the node that runs on home; an error that Is ErrNotRunning if none does.
func Dial(home string) (*Client, error) {
	path, err := socketPath(home)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) }
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	probe, err := dial(ctx, "", "")
	if err != nil {
		return nil, Advise(fmt.Errorf("connect to the node on %s: %w", home, ErrNotRunning), "start it with: mlecs start --home %s", home)
	}
	probe.Close()
	return &Client{
		at: "on " + home, hint: "see whether it still runs with: mlecs status --home " + home, base: "http://node",
		http: &http.Client{Transport: &http.Transport{
			DialContext: dial, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, ExpectContinueTimeout: 5 * time.Second,
		}},
	}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks for the node's status.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return call[*Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Peers asks for the peers that the node knows.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	return call[[]Peer](ctx, c, http.MethodGet, "/v1/peers", nil)
}

// Rounds asks for the aggregates, oldest first.
func (c *Client) Rounds(ctx context.Context, w Window) ([]Round, error) {
	return call[[]Round](ctx, c, http.MethodGet, "/v1/rounds?"+w.query(), nil)
}

// Deltas asks for the delta records, by round and author.
func (c *Client) Deltas(ctx context.Context, w Window) ([]Delta, error) {
	return call[[]Delta](ctx, c, http.MethodGet, "/v1/deltas?"+w.query(), nil)
}

func (w Window) query() string { return fmt.Sprintf("from=%d&last=%d", w.From, w.Last) }

// Delta asks for one delta by CID or unique prefix.
func (c *Client) Delta(ctx context.Context, cid string) (*Delta, error) {
	return call[*Delta](ctx, c, http.MethodGet, "/v1/deltas/"+url.PathEscape(cid), nil)
}

// Models asks for the base models.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	return call[[]Model](ctx, c, http.MethodGet, "/v1/models", nil)
}

// Adapter asks where a LoRA adapter is.
func (c *Client) Adapter(ctx context.Context, delta string) (*Adapter, error) {
	return call[*Adapter](ctx, c, http.MethodGet, "/v1/adapter?delta="+url.QueryEscape(delta), nil)
}

// Scores asks for the node's scores on its own test rows.
func (c *Client) Scores(ctx context.Context) (*Scores, error) {
	return call[*Scores](ctx, c, http.MethodGet, "/v1/scores", nil)
}

// Invite asks the node for a token.
func (c *Client) Invite(ctx context.Context, r InviteRequest) (*InviteReply, error) {
	return call[*InviteReply](ctx, c, http.MethodPost, "/v1/invite", r)
}

// Login asks for a link to the node's page.
func (c *Client) Login(ctx context.Context) (*Login, error) {
	return call[*Login](ctx, c, http.MethodPost, "/v1/login", nil)
}

// Get asks for what is no JSON, such as /metrics or a profile.
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) {
	return c.ask(ctx, http.MethodGet, path, nil)
}

// Stop asks the node to stop cleanly; it returns when the node has agreed, before it has stopped.
func (c *Client) Stop(ctx context.Context) error {
	_, err := call[json.RawMessage](ctx, c, http.MethodPost, "/v1/stop", nil)
	return err
}

// gone says that a running node could not be asked.
func (c *Client) gone(what string, err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // method and URL are told already
	}
	return Advise(fmt.Errorf("%s: the node %s: %w", what, c.at, err), "%s", c.hint)
}

// upload is a request body that is sent while it is made, and only once the node has agreed to take it.
type upload struct {
	contentType string
	io.Reader
}

// call makes one request as ask does; T is the type of a good answer.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var v T
	b, err := c.ask(ctx, method, path, body)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("decode the node's answer to %s: %w", path, err)
	}
	return v, nil
}

// ask makes one request with body, which is nil, an *upload, or what to send as JSON, and gives a good answer's content.
func (c *Client) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	var payload io.Reader
	header := http.Header{}
	switch b := body.(type) {
	case nil:
	case *upload:
		payload = b.Reader
		header.Set("Content-Type", b.contentType)
		header.Set("Expect", "100-continue")
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return nil, fmt.Errorf("ask the node %s for %s: %w", c.at, path, err)
	}
	req.Header = header
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.gone("ask for "+path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the node's answer to %s: %w", path, err)
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("read the node's answer to %s: more than %d bytes", path, maxAnswer)
	}
	if resp.StatusCode != http.StatusOK {
		var e errorBody
		json.Unmarshal(b, &e) // an answer that is not ours leaves e empty, and the status code speaks
		return nil, unwire(resp.StatusCode, e)
	}
	return b, nil
}
