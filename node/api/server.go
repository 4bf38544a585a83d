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

// Serve answers requests on ln by h until ctx ends, then closes ln and returns nil. Requests in flight get a second to end.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	requests, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return requests },
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
	rs := newRoutes(c)
	rs.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, Advise(fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, ErrNotFound), "GET /v1/openapi.json tells what there is"))
	})
	return rs.mux
}

// Stopping is the answer to a request to stop.
type Stopping struct {
	Stopping bool `json:"stopping"`
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
	w.Header().Set("Cache-Control", "no-store")
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
