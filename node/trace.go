package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/ipfs/go-cid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node/otlp"
)

// Spans of a round: on an edge fetch (the aggregate), tune and publish; on the super-peer that leads fetch (each delta), aggregate, distil
// and publish. A round is one trace for the whole federation: its id comes from the genesis and the number of the round, so that collectors
// put together what nodes send each for itself.
const (
	spanRound     = "round"
	spanFetch     = "fetch"
	spanTune      = "tune"
	spanAggregate = "aggregate"
	spanDistil    = "distil"
	spanPublish   = "publish"
)

// tracing makes spans. Without an endpoint they are no-ops.
type tracing struct {
	tracer trace.Tracer
	close  func()
}

func noTracing() tracing { return tracing{noop.NewTracerProvider().Tracer(""), func() {}} }

// closePatience is how long a stopping node waits for its last spans to be sent.
const closePatience = 2 * time.Second

// newTracing sends spans to the config's endpoint, if there is one.
func (n *Node) newTracing() tracing {
	if n.cfg.OTLP == "" {
		return noTracing()
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(otlp.New(n.cfg.OTLP, n.log)),
		sdktrace.WithIDGenerator(roundIDs{n.genesis.id}),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "mlecs"), attribute.String("service.version", Version), attribute.String("service.instance.id", n.self.String()),
			attribute.String("mlecs.node", n.cfg.Name), attribute.String("mlecs.role", string(n.member.Role)), attribute.String("mlecs.federation", n.genesis.id.String()),
		)),
	)
	return tracing{provider.Tracer("github.com/mlecs/mlecs/node"), func() {
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		defer cancel()
		provider.Shutdown(ctx) // what cannot be sent in time is lost
	}}
}

// span begins one of a round, under the one in ctx if there is any. end closes it with the error that the work ended with, if it did.
func (n *Node) span(ctx context.Context, name string, round uint64, about ...attribute.KeyValue) (_ context.Context, end func(error)) {
	if trace.SpanContextFromContext(ctx).IsValid() {
		ctx, s := n.tracing.tracer.Start(ctx, name, trace.WithAttributes(about...))
		return ctx, endOf(s)
	}
	about = append(about, attribute.Int64("mlecs.round", int64(round)))
	ctx, s := n.tracing.tracer.Start(context.WithValue(ctx, roundKey{}, round), name, trace.WithAttributes(about...))
	return ctx, endOf(s)
}

func endOf(s trace.Span) func(error) {
	return func(err error) {
		if err != nil && !errors.Is(err, context.Canceled) {
			s.SetStatus(codes.Error, err.Error())
		}
		s.End()
	}
}

// distilling divides a super-peer's work on a round into two spans: it aggregates until its first step, then it distils.
func (n *Node) distilling(ctx context.Context, round uint64, p method.Progress) (_ method.Progress, end func(error)) {
	_, endCurrent := n.span(ctx, spanAggregate, round)
	begun := false
	steps := func(stage string, done, total int, loss float64) {
		if !begun && total > 0 {
			begun = true
			endCurrent(nil)
			_, endCurrent = n.span(ctx, spanDistil, round)
		}
		p(stage, done, total, loss)
	}
	return steps, func(err error) { endCurrent(err) }
}

// roundIDs names a round's trace by the federation and the number of the round, and spans by chance.
type roundIDs struct{ federation cid.Cid }

type roundKey struct{}

// NewIDs names the trace of the round in ctx.
func (g roundIDs) NewIDs(ctx context.Context) (id trace.TraceID, span trace.SpanID) {
	round, _ := ctx.Value(roundKey{}).(uint64)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(g.federation.Bytes(), round))
	copy(id[:], sum[:])
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID gives a random id.
func (roundIDs) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	rand.Read(id[:]) // never fails
	return id
}
