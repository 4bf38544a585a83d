package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mlecs/mlecs/node/api"
)

var (
	evaluation = &api.Evaluation{
		Model: api.CurrentModel{Modalities: []string{"image"}},
		Node:  "edge-1", Split: "test", ConstantAnswer: "still", All: api.EvalGroup{Name: "all", Rows: 2, Scores: api.TextScores{ExactMatch: 0.5}},
		Subsets: []api.EvalGroup{{Name: "image", Rows: 2, Constant: &api.TextScores{Rouge1: api.Measure{F: 0.25}}}}, Attributes: []api.Attribute{},
	}
	answer = &api.Answer{Node: "edge-1", Model: api.CurrentModel{Modalities: []string{"image"}}, Row: "r1", Used: []string{"image"}, Ignored: []string{}, Answer: "walking", Untrained: "still"}
)

func (f *fake) Eval(ctx context.Context, r api.EvalRequest) (*api.Evaluation, error) {
	f.split = r.Split
	if f.ask != nil {
		if err := f.ask(ctx, r.Rows); err != nil {
			return nil, err
		}
	}
	return evaluation, nil
}

func (f *fake) Generate(ctx context.Context, r api.GenerateRequest) (*api.Answer, error) {
	f.row = api.GenerateRequest{Row: r.Row, Strict: r.Strict}
	if f.ask != nil {
		if err := f.ask(ctx, r.Rows); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

func TestQuestions(t *testing.T) {
	f := &fake{}
	c, ctx := serve(t, t.TempDir(), f), t.Context()
	e, err := c.Eval(ctx, api.EvalRequest{Split: "validation"})
	if err != nil || !reflect.DeepEqual(e, evaluation) || f.split != "validation" {
		t.Errorf("eval of split %q: %+v, %v", f.split, e, err)
	}
	want := api.GenerateRequest{Row: "a b&c=ü", Strict: true}
	a, err := c.Generate(ctx, want)
	if err != nil || !reflect.DeepEqual(a, answer) || f.row != want {
		t.Errorf("generate for %+v: %+v, %v", f.row, a, err)
	}
}

// Rows arrive whole, and reading them to their end tells the node nothing else is coming.
func TestRowsArriveWhole(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	f := &fake{ask: func(_ context.Context, rows *api.Rows) error {
		got, err := io.ReadAll(rows.Files)
		if err != nil {
			return err
		}
		if string(rows.Index) != "{}\n" || !bytes.Equal(got, content) {
			t.Errorf("index %q, %d bytes of files of %d", rows.Index, len(got), len(content))
		}
		return nil
	}}
	c := serve(t, t.TempDir(), f)
	for range 2 { // the connection, or another one, serves again
		if _, err := c.Eval(t.Context(), api.EvalRequest{Rows: &api.Rows{Index: []byte("{}\n"), Files: bytes.NewReader(content)}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUploadThatFailsAtTheClient(t *testing.T) {
	f := &fake{ask: func(_ context.Context, rows *api.Rows) error {
		_, err := io.Copy(io.Discard, rows.Files)
		return err
	}}
	c := serve(t, t.TempDir(), f)
	_, err := c.Eval(t.Context(), api.EvalRequest{Rows: &api.Rows{Files: iotest.ErrReader(errors.New("disk on fire"))}})
	if err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("got %v, want the client's own error", err)
	}
}

// One question is at work at a time: the second is refused before its rows are read, and the first is cancelled when its client goes away.
func TestOneQuestionAtATime(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	f := &fake{ask: func(ctx context.Context, rows *api.Rows) error {
		if _, err := io.Copy(io.Discard, rows.Files); err != nil {
			return err
		}
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}
	home := t.TempDir()
	first := serve(t, home, f)
	second, err := api.Dial(home)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, err := first.Eval(ctx, api.EvalRequest{Rows: &api.Rows{Files: strings.NewReader("tar")}})
		answered <- err
	}()
	<-begun
	unread := &counter{}
	if _, err := second.Generate(t.Context(), api.GenerateRequest{Rows: &api.Rows{Files: unread}}); !errors.Is(err, api.ErrBusy) {
		t.Errorf("second question: %v, want ErrBusy", err)
	}
	if unread.n != 0 {
		t.Errorf("%d bytes of rows were read for a question that was refused", unread.n)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the node's context ended with %v, want Canceled", err)
	}
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v, want Canceled", err)
	}
}

// counter is an endless reader that counts what is read.
type counter struct{ n int }

func (c *counter) Read(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

func TestBodiesThatAreRefused(t *testing.T) {
	form := func(parts ...string) (string, io.Reader) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, name := range parts {
			p, err := w.CreateFormFile(name, "x")
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(p, "content")
		}
		w.Close()
		return w.FormDataContentType(), &b
	}
	cases := []struct {
		name, path string
		body       func() (string, io.Reader)
		says       string
	}{
		{"no form", "/v1/eval", func() (string, io.Reader) { return "application/json", strings.NewReader("{}") }, "multipart"},
		{"files before rows", "/v1/eval", func() (string, io.Reader) { return form("files", "rows") }, `part \"rows\"`},
		{"rows alone", "/v1/eval", func() (string, io.Reader) { return form("rows") }, `part \"files\"`},
		{"cut off", "/v1/generate", func() (string, io.Reader) {
			kind, b := form("rows", "files")
			return kind, io.LimitReader(b, 40)
		}, `part \"rows\"`},
		{"neither true nor false", "/v1/generate?strict=perhaps", func() (string, io.Reader) { return "", nil }, "perhaps"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			kind, body := tc.body()
			r := httptest.NewRequest(http.MethodPost, tc.path, body)
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			api.Handler(&fake{}).ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), tc.says) {
				t.Errorf("status %d, %s; want 400 and %q", w.Code, w.Body, tc.says)
			}
		})
	}
}

// FuzzUpload: whatever a body holds, the answer is a status of the API, and no rows are larger than their limits.
func FuzzUpload(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"rows\"\r\n\r\n{}\r\n--b\r\nContent-Disposition: form-data; name=\"files\"\r\n\r\ntar\r\n--b--\r\n"))
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"rows\"\r\n\r\n{}"))
	f.Add([]byte("--b--\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		node := &fake{ask: func(_ context.Context, rows *api.Rows) error {
			if rows == nil {
				return nil
			}
			n, err := io.Copy(io.Discard, rows.Files)
			if total := n + int64(len(rows.Index)); total > int64(len(body)) {
				t.Errorf("%d bytes of rows from a body of %d", total, len(body))
			}
			if err != nil {
				return api.ErrBadRequest
			}
			return nil
		}}
		r := httptest.NewRequest(http.MethodPost, "/v1/eval", bytes.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		w := httptest.NewRecorder()
		api.Handler(node).ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}
