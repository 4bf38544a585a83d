package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/metric"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// maxValues is how many values a field may have to be an attribute.
const maxValues = 16

// scoredRow is a row with its answer.
type scoredRow struct {
	row      data.Row
	used     []string // modalities
	answer   string
	constant string
}

// Eval scores the node's model on its own rows or on those of the request.
func (v *view) Eval(ctx context.Context, r api.EvalRequest) (*api.Evaluation, error) {
	want, err := parseSplit(r.Split)
	if err != nil {
		return nil, err
	}
	m, err := v.currentModel()
	if err != nil {
		return nil, err
	}
	set, drop, err := v.rowsFor(r.Rows)
	if err != nil {
		return nil, err
	}
	defer drop()
	rows := rowsOf(set, want)
	if len(rows) == 0 {
		return nil, errNoRows(set, want)
	}
	if err := requireTargets(set, rows); err != nil {
		return nil, refusal{err}
	}
	if err := m.understands(set); err != nil {
		return nil, err
	}
	out := &api.Evaluation{Node: v.cfg.Name, Model: m.about, Data: set.Name, Split: string(want)}
	if targets, err := v.learnedTargets(m); err == nil { // else there is no constant answer to compare with
		out.ConstantAnswer = metric.BestConstant(targets)
	}
	// A part at a time: all rows decoded might not fit into memory. Whole batches, so that answers are those of the learner's own scores.
	var scored []scoredRow
	for part := range slices.Chunk(rows, evalBatches*v.genesis.method.Batch) {
		list, err := m.ask(ctx, set, part, r.Rows != nil)
		if err != nil {
			return nil, err
		}
		scored = append(scored, list...)
	}
	if out.RowsLeftOut = len(rows) - len(scored); len(scored) == 0 {
		return nil, errNothingUsable("data set "+set.Name, set.Modalities(), m)
	}
	for i := range scored {
		scored[i].constant = out.ConstantAnswer
	}
	out.All = group("all", scored)
	out.Subsets = groupBy(scored, func(s scoredRow) string { return strings.Join(s.used, "+") })
	out.Attributes = attributes(scored)
	return out, nil
}

// evalBatches is how many batches of rows are decoded at once.
const evalBatches = 16

// ask decodes rows and answers those that have a modality of the node. Files that came with the request are decoded one after the other:
// a picture of the largest size allowed takes half a gigabyte.
func (m *current) ask(ctx context.Context, set *data.Set, rows []data.Row, foreign bool) ([]scoredRow, error) {
	decoders := runtime.GOMAXPROCS(0)
	if foreign {
		decoders = 1
	}
	examples, err := set.Examples(ctx, rows, m.decode, decoders)
	if err != nil {
		if foreign && ctx.Err() == nil {
			err = refusal{err}
		}
		return nil, err
	}
	answers, err := m.Answer(ctx, examples)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]data.Row, len(rows))
	for _, row := range rows {
		byID[row.ID] = row
	}
	list := make([]scoredRow, len(examples))
	for i, ex := range examples {
		list[i] = scoredRow{row: byID[ex.ID], used: slices.Sorted(maps.Keys(ex.Inputs)), answer: answers[i]}
	}
	return list, nil
}

// parseSplit reads the name of a split; empty is test.
func parseSplit(name string) (split, error) {
	s := split(cmp.Or(name, string(test)))
	if !slices.Contains([]split{train, validation, test}, s) {
		return "", refusal{fmt.Errorf("split %.40q is none of train, validation, test", name)}
	}
	return s, nil
}

func errNoRows(set *data.Set, s split) error {
	return api.Advise(refusal{fmt.Errorf("data set %s has no rows with split %s", set.Name, s)}, "choose another one with --split")
}

// understands refuses a data set that has a modality of the node in another kind.
func (m *current) understands(set *data.Set) error {
	for _, d := range m.decode {
		if kind := set.Kinds[d.Name]; kind != "" && kind != d.Kind {
			return api.Advise(refusal{fmt.Errorf("modality %q is %s there, and %s for this node", d.Name, kind, d.Kind)}, "it has %s", m.listModalities())
		}
	}
	return nil
}

// listModalities names the node's modalities with their kinds.
func (m *current) listModalities() string {
	var list []string
	for _, d := range m.decode {
		if d.Name == d.Kind {
			list = append(list, d.Name)
		} else {
			list = append(list, d.Name+" ("+d.Kind+")")
		}
	}
	return strings.Join(list, ", ")
}

func errNothingUsable(what string, has []string, m *current) error {
	return api.Advise(refusal{fmt.Errorf("%s has only %s, which this node does not use", what, strings.Join(has, ", "))}, "the node has %s", m.listModalities())
}

// learnedTargets are the targets of the rows that the node learns from: its own, or on a super-peer the public ones.
func (v *view) learnedTargets(m *current) ([]string, error) {
	dir := v.home.dataDir(v.cfg)
	if v.member.Role == record.RoleSuper {
		dir = v.home.path(publicDir)
	}
	set, err := data.Open(dir)
	if err != nil {
		return nil, err
	}
	var targets []string
	for _, r := range rowsOf(set, train) {
		if slices.ContainsFunc(m.about.Modalities, r.Has) {
			targets = append(targets, r.Target)
		}
	}
	return targets, nil
}

// groupBy scores rows by what key tells of them, in order of it; rows without a key are left out.
func groupBy(rows []scoredRow, key func(scoredRow) string) []api.EvalGroup {
	by := map[string][]scoredRow{}
	for _, r := range rows {
		if k := key(r); k != "" {
			by[k] = append(by[k], r)
		}
	}
	groups := []api.EvalGroup{}
	for _, k := range slices.Sorted(maps.Keys(by)) {
		groups = append(groups, group(k, by[k]))
	}
	return groups
}

// attributes scores rows by the fields that tell a few kinds of them apart: strings with 2 to 16 values, each of two rows on average. A
// sequence says which rows belong together, not what they are like.
func attributes(rows []scoredRow) []api.Attribute {
	values := map[string]map[string]bool{}
	for _, r := range rows {
		for field, value := range textFields(r.row) {
			if values[field] == nil {
				values[field] = map[string]bool{}
			}
			values[field][value] = true
		}
	}
	list := []api.Attribute{}
	for _, field := range slices.Sorted(maps.Keys(values)) {
		if n := len(values[field]); n < 2 || n > maxValues || 2*n > len(rows) {
			continue
		}
		list = append(list, api.Attribute{Field: field, Values: groupBy(rows, func(r scoredRow) string { return textFields(r.row)[field] })})
	}
	return list
}

// textFields are the fields of a row that may be attributes.
func textFields(r data.Row) map[string]string {
	fields := map[string]string{}
	if r.Domain != "" {
		fields["domain"] = r.Domain
	}
	for name, value := range r.Fields {
		if text, ok := value.(string); ok && text != "" && name != "sequence" {
			fields[name] = text
		}
	}
	return fields
}

// group scores rows, which are one at least.
func group(name string, rows []scoredRow) api.EvalGroup {
	g := api.EvalGroup{Name: name, Rows: len(rows)}
	g.Scores = textScores(rows, func(r scoredRow) string { return r.answer })
	if rows[0].constant != "" {
		c := textScores(rows, func(r scoredRow) string { return r.constant })
		g.Constant = &c
	}
	return g
}

// textScores are the means over rows, which are one at least.
func textScores(rows []scoredRow, answer func(scoredRow) string) api.TextScores {
	var s api.TextScores
	add := func(m *api.Measure, x metric.Score) {
		m.Precision += x.Precision
		m.Recall += x.Recall
		m.F += x.F
	}
	for _, r := range rows {
		x := metric.Compute(answer(r), r.row.Target, false)
		add(&s.Rouge1, x.R1)
		add(&s.Rouge2, x.R2)
		add(&s.RougeL, x.L)
		add(&s.RougeLsum, x.Lsum)
		if metric.ExactMatch(answer(r), r.row.Target) {
			s.ExactMatch++
		}
	}
	n := float64(len(rows))
	for _, m := range []*api.Measure{&s.Rouge1, &s.Rouge2, &s.RougeL, &s.RougeLsum} {
		m.Precision, m.Recall, m.F = m.Precision/n, m.Recall/n, m.F/n
	}
	s.ExactMatch /= n
	return s
}
