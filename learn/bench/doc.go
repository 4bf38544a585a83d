// Package bench measures what a node's time goes to: matrix products, training steps, decoding, aggregation and codecs. Inputs are made
// up, so that a measurement can be repeated anywhere; docs/benchmarks.md says how to compare with PyTorch.
//
// Every measurement is a value with JSON fields that carry their units in their names. The caller sets GOMAXPROCS. The package must
// not import p2p or storage.
package bench
