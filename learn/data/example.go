package data

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Example is one row decoded, ready for a model.
type Example struct {
	ID     string
	Inputs map[string][]float32 // modality -> tensor, flat, in the modality's shape; missing modalities absent
	Text   string               // text prompt, where text is a modality in use
	Target string               // empty on public rows at an edge
}

// Examples decodes rows in the modalities of mods, in the rows' order, as many at a time as decoders. Rows with none of
// the modalities are left out.
func (s *Set) Examples(ctx context.Context, rows []Row, mods []Modality, decoders int) ([]Example, error) {
	examples := make([]Example, len(rows))
	withText := slices.ContainsFunc(mods, func(m Modality) bool { return m.Kind == Text })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(decoders)
	for i, r := range rows {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			ex := Example{ID: r.ID, Inputs: make(map[string][]float32, len(mods)), Target: r.Target}
			if withText {
				ex.Text = r.Text
			}
			for _, m := range mods {
				t, err := s.Tensor(r, m)
				if err != nil {
					return fmt.Errorf("%s%w", s.Place(r), err)
				}
				if t != nil {
					ex.Inputs[m.Name] = t
				}
			}
			examples[i] = ex
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(examples, func(ex Example) bool { return len(ex.Inputs) == 0 }), nil
}

// Place begins an error about a row with its line in the folder. Rows without a line came from nowhere that the reader knows.
func (s *Set) Place(r Row) string {
	if r.Line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", filepath.Join(s.Dir, MetadataFile), r.Line)
}
