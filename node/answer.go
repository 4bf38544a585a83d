package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/node/api"
)

// Generate answers one row by the node's model, and by the same model before it learned anything.
func (v *view) Generate(ctx context.Context, r api.GenerateRequest) (*api.Answer, error) {
	m, err := v.currentModel()
	if err != nil {
		return nil, err
	}
	fresh, err := v.untrainedModel()
	if err != nil {
		return nil, err
	}
	set, drop, err := v.rowsFor(r.Rows)
	if err != nil {
		return nil, err
	}
	defer drop()
	row, err := chooseRow(set, r.Row)
	if err != nil {
		return nil, err
	}
	has := modalitiesOf(row)
	ignored := slices.DeleteFunc(slices.Clone(has), func(name string) bool { return slices.Contains(m.about.Modalities, name) })
	if r.Strict && len(ignored) > 0 {
		return nil, api.Advise(refusal{fmt.Errorf("this node does not use modality %s", strings.Join(ignored, ", "))}, "it has %s", m.listModalities())
	}
	if len(ignored) == len(has) {
		return nil, errNothingUsable("row "+row.ID, has, m)
	}
	if err := m.understands(set.Subset([]data.Row{row})); err != nil {
		return nil, err
	}
	foreign := r.Rows != nil
	learned, err := m.ask(ctx, set, []data.Row{row}, foreign)
	if err != nil {
		return nil, err
	}
	before, err := fresh.ask(ctx, set, []data.Row{row}, foreign)
	if err != nil {
		return nil, err
	}
	return &api.Answer{
		Node: v.cfg.Name, Model: m.about, Row: row.ID, Target: row.Target, Used: learned[0].used, Ignored: nonNil(ignored),
		Answer: learned[0].answer, Untrained: before[0].answer,
	}, nil
}

// chooseRow finds a row by its id, or the only one there is.
func chooseRow(set *data.Set, id string) (data.Row, error) {
	if id == "" && len(set.Rows) == 1 {
		return set.Rows[0], nil
	}
	if i := slices.IndexFunc(set.Rows, func(r data.Row) bool { return r.ID == id }); i >= 0 {
		return set.Rows[i], nil
	}
	return data.Row{}, api.Advise(fmt.Errorf("row %q: %w in data set %s", id, api.ErrNotFound, set.Name), "ids are in its %s, for instance %q", metadataFile, set.Rows[0].ID)
}

// modalitiesOf names the modalities that a row has, in order.
func modalitiesOf(r data.Row) []string {
	names := slices.Collect(maps.Keys(r.Files))
	if r.Has(data.Text) {
		names = append(names, data.Text)
	}
	slices.Sort(names)
	return names
}
