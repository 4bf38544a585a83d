package otlp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// patience bounds one request.
const patience = 10 * time.Second

// Exporter sends spans to one collector. It loses spans that the collector does not take: a node must not wait for its traces.
type Exporter struct {
	url string
	log *slog.Logger

	mu      sync.Mutex
	failing bool
}

var _ sdktrace.SpanExporter = (*Exporter)(nil)

// Check tells whether an endpoint can be one: http(s)://HOST:PORT, with or without a path before /v1/traces.
func Check(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%.80q is not http(s)://HOST:PORT, as http://127.0.0.1:4318", endpoint)
	}
	return nil
}

// New makes an exporter to an endpoint that Check finds good.
func New(endpoint string, log *slog.Logger) *Exporter {
	return &Exporter{url: strings.TrimSuffix(endpoint, "/") + "/v1/traces", log: log}
}

// ExportSpans sends spans. What fails is logged when it begins and when it is over, and is no error.
func (e *Exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.post(ctx, document(spans))
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err != nil && !e.failing:
		e.log.Warn("traces are lost: the collector does not take them", "err", err)
	case err == nil && e.failing:
		e.log.Info("the collector takes traces again")
	}
	e.failing = err != nil
	return nil
}

// Shutdown has nothing to end.
func (e *Exporter) Shutdown(context.Context) error { return nil }

func (e *Exporter) post(ctx context.Context, d traces) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("send spans: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("send spans: %w", err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("send spans to %s: status %s", e.url, resp.Status)
	}
	return nil
}

// The document, as OTLP's JSON names things: numbers of 64 bits are strings, ids are hexadecimal.
type (
	traces struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []keyValue `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	scope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	span struct {
		TraceID      string     `json:"traceId"`
		SpanID       string     `json:"spanId"`
		ParentSpanID string     `json:"parentSpanId,omitempty"`
		Name         string     `json:"name"`
		Kind         int        `json:"kind"`
		Start        string     `json:"startTimeUnixNano"`
		End          string     `json:"endTimeUnixNano"`
		Attributes   []keyValue `json:"attributes"`
		Status       status     `json:"status"`
	}
	status struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	keyValue struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
)

// document puts the spans of one provider, which share their resource and scope, into one.
func document(spans []sdktrace.ReadOnlySpan) traces {
	if len(spans) == 0 {
		return traces{ResourceSpans: []resourceSpans{}}
	}
	first := spans[0]
	s := scopeSpans{Scope: scope{first.InstrumentationScope().Name, first.InstrumentationScope().Version}}
	for _, x := range spans {
		out := span{
			TraceID: x.SpanContext().TraceID().String(), SpanID: x.SpanContext().SpanID().String(), Name: x.Name(), Kind: int(x.SpanKind()),
			Start: nanoseconds(x.StartTime()), End: nanoseconds(x.EndTime()), Attributes: keyValues(x.Attributes()),
		}
		if x.Parent().SpanID().IsValid() {
			out.ParentSpanID = x.Parent().SpanID().String()
		}
		switch x.Status().Code { // the library counts them in another order
		case codes.Ok:
			out.Status.Code = 1
		case codes.Error:
			out.Status = status{2, x.Status().Description}
		}
		s.Spans = append(s.Spans, out)
	}
	return traces{[]resourceSpans{{Resource: resource{keyValues(first.Resource().Attributes())}, ScopeSpans: []scopeSpans{s}}}}
}

func nanoseconds(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func keyValues(list []attribute.KeyValue) []keyValue {
	out := []keyValue{}
	for _, a := range list {
		value := map[string]any{}
		switch a.Value.Type() {
		case attribute.INT64:
			value["intValue"] = strconv.FormatInt(a.Value.AsInt64(), 10)
		case attribute.FLOAT64:
			value["doubleValue"] = a.Value.AsFloat64()
		case attribute.BOOL:
			value["boolValue"] = a.Value.AsBool()
		default:
			value["stringValue"] = a.Value.String()
		}
		out = append(out, keyValue{string(a.Key), value})
	}
	return out
}
