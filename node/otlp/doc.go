// Package otlp sends OpenTelemetry spans to a collector as OTLP over HTTP with JSON (opentelemetry.io/docs/specs/otlp, 1.9), which Jaeger,
// Tempo and the OpenTelemetry collector take on port 4318.
//
// The library's own exporter would bring gRPC and generated protocol buffers into every node for what is one small document. It imports
// nothing of this module.
package otlp
