package otlp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mlecs/mlecs/node/otlp"
)

// TestDocument compares with what the specification's JSON mapping says, field by field.
func TestDocument(t *testing.T) {
	var got map[string]any
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s, %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &got); err != nil {
			t.Error(err)
		}
	}))
	defer collector.Close()
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSyncer(otlp.New(collector.URL+"/", slog.New(slog.DiscardHandler))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "mlecs"))))
	_, x := provider.Tracer("rounds").Start(t.Context(), "tune")
	x.SetAttributes(attribute.Int64("round", 3), attribute.Bool("late", true), attribute.Float64("loss", 0.5))
	x.SetStatus(codes.Error, "no memory")
	x.End()
	at := func(path ...any) any {
		var v any = got
		for _, p := range path {
			switch p := p.(type) {
			case string:
				v = v.(map[string]any)[p]
			case int:
				v = v.([]any)[p]
			}
		}
		return v
	}
	if len(got) == 0 {
		t.Fatal("nothing was sent")
	}
	spans := []any{"resourceSpans", 0, "scopeSpans", 0, "spans", 0}
	in := func(path ...any) any { return at(append(spans[:6:6], path...)...) }
	for what, c := range map[string]struct{ got, want any }{
		"service":  {at("resourceSpans", 0, "resource", "attributes", 0, "value", "stringValue"), "mlecs"},
		"scope":    {at("resourceSpans", 0, "scopeSpans", 0, "scope", "name"), "rounds"},
		"name":     {in("name"), "tune"},
		"trace":    {in("traceId"), x.SpanContext().TraceID().String()},
		"span":     {in("spanId"), x.SpanContext().SpanID().String()},
		"parent":   {in("parentSpanId"), nil},
		"kind":     {in("kind"), 1.0}, // internal
		"round":    {in("attributes", 0, "value", "intValue"), "3"},
		"late":     {in("attributes", 1, "value", "boolValue"), true},
		"loss":     {in("attributes", 2, "value", "doubleValue"), 0.5},
		"status":   {in("status", "code"), 2.0},
		"what for": {in("status", "message"), "no memory"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", what, c.got, c.want)
		}
	}
	if s, ok := in("startTimeUnixNano").(string); !ok || len(s) != 19 {
		t.Errorf("the start is %v", in("startTimeUnixNano"))
	}
}

func TestCollectorThatIsDown(t *testing.T) {
	answer := http.StatusServiceUnavailable
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) }))
	defer collector.Close()
	var log bytes.Buffer
	e := otlp.New(collector.URL, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		if err := e.ExportSpans(t.Context(), nil); err != nil {
			t.Errorf("a node would see %v", err)
		}
	}
	answer = http.StatusOK
	if err := errors.Join(e.ExportSpans(t.Context(), nil), e.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
	if got := strings.Count(log.String(), "traces are lost"); got != 1 || !strings.Contains(log.String(), "again") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestCheck(t *testing.T) {
	for endpoint, good := range map[string]bool{
		"http://127.0.0.1:4318": true, "https://otlp.example/tenant": true, "127.0.0.1:4318": false, "grpc://x:4317": false, "http://": false, "http://x?token=y": false,
	} {
		if err := otlp.Check(endpoint); (err == nil) != good {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
