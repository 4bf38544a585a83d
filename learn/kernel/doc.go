// Package kernel holds the float32 arithmetic of the learning engine: matrix products and the vector functions of a
// transformer (GELU, SwiGLU, softmax, norms, dropout, AdamW). It works on plain slices in row-major order and knows nothing of
// Gorgonia, models or nodes; it must never import another package of this module.
//
// A product goes through three layers. Gemm, GemmPacked and BLAS.Sgemm check their arguments and describe the operands
// as strided matrices (gemm.go); multiply cuts C into blocks and hands them to threads (block.go); a micro-kernel
// computes one tile of C in registers (tile_*.go). Operands are read where they lie when the micro-kernel can do so
// without loss and are packed into panels when it cannot (pack.go). Frozen weights are stored once, by Freeze, in float32, bfloat16 or
// bytes: a product with them or their transpose widens and packs one block at a time, in the cache (frozen.go). What is used most may be
// packed once and for all, by Pack. W8A8 goes another way: both operands are bytes, and sums are of integers (bytes.go); it has the same bits on every
// implementation.
//
// Vector functions check their arguments and run in vector_amd64.go, with AVX2, in vector_arm64.go, with NEON, or in
// vector_portable.go. The assembly is written by the program in gen, a module of its own: go generate. All assembly has the same bits,
// whatever the processor: it does the same operations in the same order.
//
// Averaging has functions of its own (accumulate.go), in float64, that have the same bits on every implementation.
//
// Work is spread over threads by Parallel. Only rows and columns of a result are ever split, never a sum, so every
// result has the same bits for every GOMAXPROCS.
//
// Slices that are too short and negative sizes are errors of the program and panic, as an index out of range does.
// Operands and results must not overlap unless a function says that they may be the same slice.
package kernel
