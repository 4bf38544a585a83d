package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
)

// routes is the one list of what the API answers: the mux serves it, and the OpenAPI document is written from it.
type routes struct {
	mux  *http.ServeMux
	list []route
}

// route is one entry of the list.
type route struct {
	method, path, summary string
	query                 []param
	request               reflect.Type // of a JSON body; nil: none
	upload                bool         // takes rows as multipart/form-data
	response              reflect.Type // of a good JSON answer; nil: another kind of answer
	media                 string       // of a good answer that is no JSON
}

// param is a query parameter. They are all optional.
type param struct{ name, kind, about string }

func (rs *routes) add(r route, h http.HandlerFunc) {
	rs.list = append(rs.list, r)
	rs.mux.HandleFunc(r.method+" "+r.path, h)
}

// get routes a reading request to f. Other methods fall through to the catch-all.
func get[T any](rs *routes, path, summary string, f func(*http.Request) (T, error), query ...param) {
	rs.add(route{method: http.MethodGet, path: path, summary: summary, query: query, response: reflect.TypeFor[T]()}, func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		answer(w, v, err)
	})
}

// ask routes a request with a JSON body to f.
func ask[Q, T any](rs *routes, method, path, summary string, f func(context.Context, Q) (T, error)) {
	rs.add(route{method: method, path: path, summary: summary, request: reflect.TypeFor[Q](), response: reflect.TypeFor[T]()}, func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if err := readJSON(w, r, &q); err != nil {
			writeError(w, err)
			return
		}
		v, err := f(r.Context(), q)
		answer(w, v, err)
	})
}

// do routes a request without a body to f.
func do[T any](rs *routes, path, summary string, f func(context.Context) (T, error)) {
	rs.add(route{method: http.MethodPost, path: path, summary: summary, response: reflect.TypeFor[T]()}, func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r.Context())
		answer(w, v, err)
	})
}

// newRoutes lists everything that c answers.
func newRoutes(c Controller) *routes {
	rs := &routes{mux: http.NewServeMux()}
	get(rs, "/v1/status", "What the node is and does", func(r *http.Request) (*Status, error) { return c.Status(r.Context()) })
	get(rs, "/v1/peers", "Connected peers and the other members", func(r *http.Request) ([]Peer, error) { return filled(c.Peers(r.Context())) })
	get(rs, "/v1/rounds", "The aggregates, oldest first", windowed(c.Rounds), window...)
	get(rs, "/v1/deltas", "The deltas, by round and author", windowed(c.Deltas), window...)
	get(rs, "/v1/deltas/{cid}", "One delta, by its CID or a unique prefix of it", func(r *http.Request) (*Delta, error) { return c.Delta(r.Context(), r.PathValue("cid")) })
	get(rs, "/v1/models", "The federation's base models", func(r *http.Request) ([]Model, error) { return filled(c.Models(r.Context())) })
	get(rs, "/v1/adapter", "Where the newest LoRA adapter is, or that of a delta", func(r *http.Request) (*Adapter, error) {
		return c.Adapter(r.Context(), r.URL.Query().Get("delta"))
	}, param{"delta", "string", "CID of a delta, or a unique prefix of it"})
	get(rs, "/v1/scores", "The node's scores on its own test rows", func(r *http.Request) (*Scores, error) { return c.Scores(r.Context()) })
	ask(rs, http.MethodPost, "/v1/invite", "Make an invite token; the node must hold the founder key", c.Invite)
	do(rs, "/v1/login", "Make a link that logs a browser in, once", c.Login)
	handleAnswers(rs, c)
	handleProvenance(rs, c)
	handleMembers(rs, c)
	handlePolicy(rs, c)
	handleUpkeep(rs, c)
	handleEvents(rs, c)
	do(rs, "/v1/stop", "Begin a clean stop", func(context.Context) (*Stopping, error) {
		c.Stop()
		return &Stopping{true}, nil
	})
	handleLog(rs, c)
	handleHealth(rs, c)
	rs.document()
	return rs
}

// window are the parameters of Window.
var window = []param{{"from", "integer", "first round to tell of"}, {"last", "integer", "at most so many, the last ones; 0 or none: all"}}

// windowed reads them.
func windowed[T any](list func(context.Context, Window) ([]T, error)) func(*http.Request) ([]T, error) {
	return func(r *http.Request) ([]T, error) {
		from, err := number(r, "from")
		if err != nil {
			return nil, err
		}
		last, err := number(r, "last")
		if err != nil {
			return nil, err
		}
		return filled(list(r.Context(), Window{From: from, Last: count(last)}))
	}
}

// number reads a query parameter that is a number, 0 if it is not given.
func number(r *http.Request, name string) (n uint64, err error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	if n, err = strconv.ParseUint(s, 10, 64); err != nil {
		return 0, fmt.Errorf("%w: %s=%.40q is not a number", ErrBadRequest, name, s)
	}
	return n, nil
}

// count makes a number of things to tell of.
func count(n uint64) int { return int(min(n, math.MaxInt32)) }
