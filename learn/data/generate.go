package data

// GenerateOptions of Generate.
type GenerateOptions struct {
	Homes, RowsPerHome int
	Seed               uint64
	Progress           func(done, total int)
}

// Generate writes the built-in generated data set (people moving and falling in homes) to dir.
func Generate(dir string, opt GenerateOptions) error { panic("stub") }
