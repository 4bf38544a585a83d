package op

// Norm is the normalisation of one family of backbones, as the Func of x and its parameters. Without a Backward to follow,
// Forward may write its result to x.
type Norm interface {
	Func

	parameters() []string // their names, in the order of inputs
	forward(y, x []float32, p [][]float32)
	// backward writes the gradients that are not nil. dx may be dy.
	backward(dx []float32, grads [][]float32, dy, x []float32, p [][]float32)
}
