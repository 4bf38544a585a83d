// Package op holds the fused Gorgonia operations of the learning system: a few large ones, each with a hand-written gradient
// that skips whatever is frozen, over the matrix products of learn/kernel.
//
// A Func is the mathematics on plain float32 slices. Graph.Apply wraps it as a Gorgonia operation: a forward op; for the
// gradient one backward op that computes every wanted gradient at once and returns the first; and tap ops that hand out the
// others, because a Gorgonia op has one output. Graph notes which nodes lead to a parameter, so that a Func is asked only
// for gradients that somebody needs. A compiled graph is a list of these operations with all memory bound (program.go); Gorgonia
// builds the graph and differentiates it, and its machines are not used.
//
// What is not differentiated and changes from run to run (token ids, target positions, dropout seeds, how many rows count)
// lives in exported fields of the Func; the caller rewrites them between runs. Graphs are static in shape, so these fields
// may be shorter than the capacity that the graph was built for, never longer.
//
// A Func keeps the activations that its gradient needs in its own scratch memory, so one instance serves one node of one
// graph. Scratch grows on first use and is reused: a warm run allocates nothing. Sums run in an order that does not
// depend on GOMAXPROCS.
//
// The package must never import learn/model or anything above it.
package op
