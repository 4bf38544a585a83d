package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node/api"
)

var happened = []api.Event{
	{ID: 7, Kind: api.EventPeer, Name: "edge-2", Text: "connected"},
	{ID: 8, Kind: api.EventDelta, Round: 1, CID: "bafyA", Text: "a line\nand another"},
	{ID: 9, Kind: api.EventStep, Done: 2, Total: 5, Loss: 0.5},
}

func TestWatch(t *testing.T) {
	c := serve(t, t.TempDir(), &fake{events: happened})
	enough := errors.New("enough")
	for _, tc := range []struct {
		name  string
		after uint64
		want  []api.Event
	}{{"from the beginning", 0, happened}, {"after an id", 7, happened[1:]}} {
		t.Run(tc.name, func(t *testing.T) {
			var got []api.Event
			err := c.Watch(t.Context(), tc.after, func(e api.Event) error {
				if got = append(got, e); len(got) == len(tc.want) {
					return enough
				}
				return nil
			})
			if !errors.Is(err, enough) || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("until the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := c.Watch(ctx, 8, func(api.Event) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestEventsResume does as browsers do when a connection is lost.
func TestEventsResume(t *testing.T) {
	srv := httptest.NewServer(api.Handler(&fake{events: happened}))
	t.Cleanup(srv.Close)
	resp := request(t, "GET", srv.URL+"/v1/events", "", "Last-Event-ID", "8")
	want := "id: 9\ndata: {\"id\":9,"
	var got bytes.Buffer
	for !strings.Contains(got.String(), "\n\nid") {
		if _, err := io.CopyN(&got, resp.Body, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.CopyN(&got, resp.Body, int64(len(want)-2)); err != nil || !strings.HasSuffix(got.String(), want) {
		t.Errorf("got %q, %v", got.String(), err)
	}
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("headers %v", resp.Header)
	}
}

func TestHealth(t *testing.T) {
	f := &fake{}
	srv := httptest.NewServer(api.Handler(f))
	t.Cleanup(srv.Close)
	ask := func(path string) (int, string) {
		resp := request(t, "GET", srv.URL+path, "")
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if code, _ := ask("/readyz"); code != 200 {
		t.Errorf("a ready node: %d", code)
	}
	f.unready = errors.New("the node is fetching")
	if code, text := ask("/readyz"); code != 503 || !strings.Contains(text, "fetching") {
		t.Errorf("a node that is not ready: %d, %s", code, text)
	}
	if code, _ := ask("/healthz"); code != 200 {
		t.Errorf("its health: %d", code)
	}
}

func TestWindow(t *testing.T) {
	f := &fake{}
	srv := httptest.NewServer(api.Handler(f))
	t.Cleanup(srv.Close)
	for _, path := range []string{"/v1/rounds", "/v1/deltas"} {
		for query, want := range map[string]api.Window{"": {}, "?from=4": {From: 4}, "?last=3": {Last: 3}, "?from=2&last=1": {From: 2, Last: 1}} {
			if request(t, "GET", srv.URL+path+query, ""); f.window != want {
				t.Errorf("%s%s asks the node for %+v, want %+v", path, query, f.window, want)
			}
		}
		for _, query := range []string{"?from=x", "?last=-1"} {
			resp := request(t, "GET", srv.URL+path+query, "")
			if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), "not a number") {
				t.Errorf("%s%s: %s", path, query, b)
			}
		}
	}
}
