package api

import (
	"errors"
	"fmt"
	"net/http"
)

var (
	// ErrNotFound says that nothing stored has the asked name.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous says that a prefix fits several things.
	ErrAmbiguous = errors.New("ambiguous")
	// ErrNotRunning says that no node answers on a home.
	ErrNotRunning = errors.New("no node answers")
	// ErrBadRequest says that a request was malformed.
	ErrBadRequest = errors.New("bad request")
	// ErrUnauthorized says that a request over TCP came without the node's token and without a session.
	ErrUnauthorized = errors.New("not logged in")
	// ErrForbidden says that a request came from where none may come.
	ErrForbidden = errors.New("refused")
	// ErrBusy says that a node takes no more of such requests at the moment.
	ErrBusy = errors.New("the node is busy")
)

// Error is a failure with advice on what to do next. It unwraps to its cause.
type Error struct {
	Cause  error
	Advice string // an imperative sentence without a full stop; may be empty
}

// Advise adds advice to err. A nil err stays nil.
func Advise(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Cause: err, Advice: fmt.Sprintf(format, args...)}
}

// Error joins cause and advice in one line.
func (e *Error) Error() string {
	if e.Advice == "" {
		return e.Cause.Error()
	}
	return e.Cause.Error() + " (" + e.Advice + ")"
}

func (e *Error) Unwrap() error { return e.Cause }

// errorBody is an error on the wire.
type errorBody struct {
	Error  string `json:"error"`
	Advice string `json:"advice"`
}

// wire splits err into the body and the status code that carry it.
func wire(err error) (int, errorBody) {
	var body errorBody
	var e *Error
	if errors.As(err, &e) {
		body.Advice = e.Advice
	}
	if top, ok := err.(*Error); ok {
		body.Error = top.Cause.Error()
	} else {
		body.Error = err.Error()
	}
	return statusCode(err), body
}

// codes pairs sentinel errors with status codes, for both directions.
var codes = []struct {
	err  error
	code int
}{
	{ErrNotFound, http.StatusNotFound},
	{ErrAmbiguous, http.StatusConflict},
	{ErrBadRequest, http.StatusBadRequest},
	{ErrUnauthorized, http.StatusUnauthorized},
	{ErrForbidden, http.StatusForbidden},
	{ErrBusy, http.StatusTooManyRequests},
}

func statusCode(err error) int {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return http.StatusInternalServerError
}

// remoteError is a cause that came over the wire: its text is the server's, and it Is the sentinel of its status code.
type remoteError struct {
	text     string
	sentinel error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.sentinel }

// unwire is the inverse of wire.
func unwire(code int, body errorBody) error {
	re := &remoteError{text: body.Error}
	if re.text == "" {
		re.text = fmt.Sprintf("the node answered with status %d", code)
	}
	for _, c := range codes {
		if c.code == code {
			re.sentinel = c.err
		}
	}
	return &Error{Cause: re, Advice: body.Advice}
}
