package bench

import "context"

// Generate is the time of decoding greedily, the reading of the soft prompts included.
type Generate struct {
	Config string `json:"config"`
	Rows   int    `json:"rows"`   // decoded at a time
	Tokens int    `json:"tokens"` // of a row
	Runs   int    `json:"runs"`
	Timing
	PerSecond float64 `json:"tokens_per_s"` // of all rows, at the median
	Machine
}

// generateRows and generateTokens are what the goal of decoding is set for.
const generateRows, generateTokens = 8, 32

// MeasureGenerate decodes n times.
func MeasureGenerate(ctx context.Context, w Workload, n int) (Generate, error) {
	w.Base.Tokenizer = nil // no token ends a row early
	m, err := w.model()
	if err != nil {
		return Generate{}, err
	}
	batch := w.batch(generateRows)
	batch.Target = nil
	t, err := measure(ctx, n, func() error {
		_, err := m.Generate(batch, generateTokens)
		return err
	})
	return Generate{
		Config: w.Name, Rows: generateRows, Tokens: generateTokens, Runs: n, Timing: t,
		PerSecond: generateRows * generateTokens / t.Median * 1e3, Machine: machine(),
	}, err
}
