package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"
)

// Limits of rows that come with a request: all bytes, and those of their metadata.jsonl.
const (
	MaxUpload      = 1 << 30
	MaxUploadIndex = 64 << 20
)

// uploadIdle is how long an upload may make no progress.
const uploadIdle = 30 * time.Second

// Names of the parts of an upload, in their order.
const (
	partIndex = "rows"
	partFiles = "files"
)

// handleAnswers routes what asks the model. One request is at work at a time: another is refused before its body is read, so that asking
// takes bounded memory and processor time from the node.
func handleAnswers(rs *routes, a Answers) {
	slot := make(chan struct{}, 1)
	ask := func(r route, f func(ctx context.Context, query url.Values, rows *Rows) (any, error)) {
		r.method, r.upload = http.MethodPost, true
		rs.add(r, func(w http.ResponseWriter, r *http.Request) {
			select {
			case slot <- struct{}{}:
				defer func() { <-slot }()
			default:
				writeError(w, Advise(fmt.Errorf("%w with another question to its model", ErrBusy), "ask again in a moment"))
				return
			}
			rows, err := readRows(w, r)
			if err != nil {
				writeError(w, err)
				return
			}
			v, err := f(r.Context(), r.URL.Query(), rows)
			answer(w, v, err)
		})
	}
	ask(route{
		path: "/v1/eval", summary: "Score the node's model on its own rows, or on those of the body", response: reflect.TypeFor[Evaluation](),
		query: []param{{"split", "string", "train, validation or test (default)"}},
	}, func(ctx context.Context, query url.Values, rows *Rows) (any, error) {
		return a.Eval(ctx, EvalRequest{Split: query.Get("split"), Rows: rows})
	})
	ask(route{
		path: "/v1/generate", summary: "Let the node's model answer one row", response: reflect.TypeFor[Answer](),
		query: []param{{"row", "string", "id of the row; may be left out where the body has just one"}, {"strict", "boolean", "refuse modalities that the node does not use"}},
	}, func(ctx context.Context, query url.Values, rows *Rows) (any, error) {
		strict, err := strconv.ParseBool(query.Get("strict"))
		if err != nil && query.Has("strict") {
			return nil, fmt.Errorf("%w: strict=%.40q is neither true nor false", ErrBadRequest, query.Get("strict"))
		}
		return a.Generate(ctx, GenerateRequest{Row: query.Get("row"), Rows: rows, Strict: strict})
	})
}

// readRows opens the rows in a request's body; nil if it has none. The files are read while the node takes them in.
func readRows(w http.ResponseWriter, r *http.Request) (*Rows, error) {
	body := &steady{control: http.NewResponseController(w), in: http.MaxBytesReader(w, r.Body, MaxUpload)}
	if r.ContentLength == 0 {
		body.finish()
		return nil, nil
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("%w: body: %w", ErrBadRequest, err)
	}
	index, err := nextPart(parts, partIndex)
	if err != nil {
		return nil, err
	}
	rows := &Rows{}
	if rows.Index, err = io.ReadAll(io.LimitReader(index, MaxUploadIndex+1)); err != nil {
		return nil, fmt.Errorf("%w: read part %q: %w", ErrBadRequest, partIndex, err)
	}
	if len(rows.Index) > MaxUploadIndex {
		return nil, fmt.Errorf("%w: part %q has more than %d MiB", ErrBadRequest, partIndex, MaxUploadIndex>>20)
	}
	files, err := nextPart(parts, partFiles)
	if err != nil {
		return nil, err
	}
	rows.Files = &lastPart{Reader: files, rest: body}
	return rows, nil
}

func nextPart(parts *multipart.Reader, name string) (*multipart.Part, error) {
	p, err := parts.NextPart()
	if err == nil && p.FormName() != name {
		err = fmt.Errorf("it is called %.40q", p.FormName())
	}
	if err != nil {
		return nil, Advise(fmt.Errorf("%w: body: part %q: %w", ErrBadRequest, name, err), "send the parts %q (a metadata.jsonl) and %q (a tar) in this order", partIndex, partFiles)
	}
	return p, nil
}

// steady is a body that may take long as long as it moves. Once it is read the connection has no deadline any more: the server's own would
// cancel a long answer.
type steady struct {
	control *http.ResponseController
	in      io.Reader
}

func (s *steady) Read(p []byte) (int, error) {
	s.control.SetReadDeadline(time.Now().Add(uploadIdle))
	n, err := s.in.Read(p)
	if err != nil {
		s.finish()
	}
	return n, err
}

func (s *steady) finish() { s.control.SetReadDeadline(time.Time{}) }

// lastPart reads what follows the part too, a few bytes, so that the server sees the end of the body and from there on watches for a client
// that goes away.
type lastPart struct {
	io.Reader
	rest io.Reader
}

func (l *lastPart) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if _, err := io.Copy(io.Discard, l.rest); err != nil {
			return n, err
		}
	}
	return n, err
}

// Eval asks the node to score its model.
func (c *Client) Eval(ctx context.Context, r EvalRequest) (*Evaluation, error) {
	query := url.Values{"split": {r.Split}}
	return send[*Evaluation](ctx, c, "/v1/eval?"+query.Encode(), r.Rows)
}

// Generate asks the node's model for an answer.
func (c *Client) Generate(ctx context.Context, r GenerateRequest) (*Answer, error) {
	query := url.Values{"row": {r.Row}, "strict": {strconv.FormatBool(r.Strict)}}
	return send[*Answer](ctx, c, "/v1/generate?"+query.Encode(), r.Rows)
}

// send makes a request with rows as its body; nil is none.
func send[T any](ctx context.Context, c *Client, path string, rows *Rows) (T, error) {
	if rows == nil {
		return call[T](ctx, c, http.MethodPost, path, nil)
	}
	in, out := io.Pipe()
	form := multipart.NewWriter(out)
	written := make(chan struct{})
	go func() {
		defer close(written)
		out.CloseWithError(writeRows(form, rows))
	}()
	v, err := call[T](ctx, c, http.MethodPost, path, &upload{form.FormDataContentType(), in})
	in.Close() // ends a writer that nobody reads any more
	<-written
	return v, err
}

func writeRows(form *multipart.Writer, rows *Rows) error {
	index, err := form.CreateFormFile(partIndex, "metadata.jsonl")
	if err != nil {
		return err
	}
	if _, err := index.Write(rows.Index); err != nil {
		return err
	}
	files, err := form.CreateFormFile(partFiles, "files.tar")
	if err != nil {
		return err
	}
	if _, err := io.Copy(files, rows.Files); err != nil {
		return err
	}
	return form.Close()
}
