package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxRequest bounds a request body.
const maxRequest = 64 << 10

// Serve answers requests on ln until ctx ends, then closes ln and returns nil. Requests in flight get a second to end.
func Serve(ctx context.Context, ln net.Listener, c Controller) error {
	srv := &http.Server{
		Handler:           Handler(c),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(ln)
	if !stop() {
		<-done
		return nil
	}
	srv.Close()
	return fmt.Errorf("serve control API: %w", err)
}

// Handler is the API's routes on c.
func Handler(c Controller) http.Handler {
	mux := http.NewServeMux()
	get(mux, "/v1/status", func(r *http.Request) (*Status, error) { return c.Status(r.Context()) })
	get(mux, "/v1/peers", func(r *http.Request) ([]Peer, error) { return filled(c.Peers(r.Context())) })
	get(mux, "/v1/rounds", func(r *http.Request) ([]Round, error) { return filled(c.Rounds(r.Context())) })
	get(mux, "/v1/deltas", func(r *http.Request) ([]Delta, error) { return filled(c.Deltas(r.Context())) })
	get(mux, "/v1/deltas/{cid}", func(r *http.Request) (*Delta, error) { return c.Delta(r.Context(), r.PathValue("cid")) })
	get(mux, "/v1/models", func(r *http.Request) ([]Model, error) { return filled(c.Models(r.Context())) })
	get(mux, "/v1/adapter", func(r *http.Request) (*Adapter, error) { return c.Adapter(r.Context(), r.URL.Query().Get("delta")) })
	get(mux, "/v1/scores", func(r *http.Request) (*Scores, error) { return c.Scores(r.Context()) })
	mux.HandleFunc("POST /v1/invite", func(w http.ResponseWriter, r *http.Request) {
		var req InviteRequest
		if err := readJSON(w, r, &req); err != nil {
			writeError(w, err)
			return
		}
		reply, err := c.Invite(r.Context(), req)
		answer(w, reply, err)
	})
	handleAnswers(mux, c)
	mux.HandleFunc("POST /v1/stop", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, struct {
			Stopping bool `json:"stopping"`
		}{true})
		c.Stop()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, Advise(fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, ErrNotFound), "ask for one of /v1/status, peers, rounds, deltas, deltas/CID, models, adapter, scores"))
	})
	return mux
}

// get routes a reading request to f. Other methods fall through to the catch-all.
func get[T any](mux *http.ServeMux, path string, f func(*http.Request) (T, error)) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		answer(w, v, err)
	})
}

// filled turns a nil slice into an empty one, which is [] in JSON.
func filled[T any](s []T, err error) ([]T, error) {
	if s == nil {
		s = []T{}
	}
	return s, err
}

func answer[T any](w http.ResponseWriter, v T, err error) {
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func writeError(w http.ResponseWriter, err error) {
	code, body := wire(err)
	writeJSON(w, code, body)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // a NaN among metrics, for instance
		code = http.StatusInternalServerError
		b, _ = json.Marshal(errorBody{Error: fmt.Sprintf("encode answer: %v", err)})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(b, '\n')) // a client that hung up is no concern of the server
}

// readJSON reads one strict JSON value of limited size.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: body: %s", ErrBadRequest, strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: body: more than one JSON value", ErrBadRequest)
	}
	return nil
}
