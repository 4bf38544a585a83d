package data

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/metric"
)

// Report is what `mlecs data inspect` prints.
type Report struct {
	Path       string                    `json:"path"`
	Name       string                    `json:"name"`
	Generated  bool                      `json:"generated"`
	Rows       int                       `json:"rows"`
	Splits     map[string]int            `json:"splits"`  // "none" for rows without
	Domains    map[string]map[string]int `json:"domains"` // domain -> split -> rows; "none" for rows without
	Sequences  int                       `json:"sequences"`
	Modalities map[string]ModalityReport `json:"modalities"`
	Targets    TargetReport              `json:"targets"`
}

// ModalityReport counts one modality.
type ModalityReport struct {
	Kind    string `json:"kind"`
	Rows    int    `json:"rows"`
	Missing int    `json:"missing"`
	Bytes   int64  `json:"bytes"`  // of all files
	Detail  string `json:"detail"` // sizes found, e.g. "48x48 grey"
}

// TargetReport describes the targets (lengths in words).
type TargetReport struct {
	Distinct  int     `json:"distinct"`
	Missing   int     `json:"missing"`
	MinWords  int     `json:"min_words"`
	MeanWords float64 `json:"mean_words"`
	MaxWords  int     `json:"max_words"`
	Unseen    int     `json:"unseen"` // rows whose target has letters or digits that Rouge does not see
}

// None stands for an absent split or domain in a report.
const None = "none"

// Inspect opens dir, decodes every file, and counts. Files that cannot be decoded are an error that names up to ten.
func Inspect(dir string) (*Report, error) {
	s, err := Open(dir)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Path: dir, Name: s.Name, Generated: s.Generated, Rows: len(s.Rows),
		Splits: make(map[string]int), Domains: make(map[string]map[string]int), Modalities: make(map[string]ModalityReport),
	}
	sequences := make(map[string]bool)
	for _, row := range s.Rows {
		split, domain := cmp.Or(row.Split, None), cmp.Or(row.Domain, None)
		r.Splits[split]++
		if r.Domains[domain] == nil {
			r.Domains[domain] = make(map[string]int)
		}
		r.Domains[domain][split]++
		if sequence := row.Sequence(); sequence != "" {
			sequences[domain+"\x00"+sequence] = true
		}
	}
	r.Sequences = len(sequences)
	r.Targets = inspectTargets(s.Rows)
	var wrong problems
	for _, name := range s.Modalities() {
		r.Modalities[name] = s.inspect(name, &wrong)
	}
	if err := wrong.err(); err != nil {
		return nil, fmt.Errorf("data set %s: %w", dir, err)
	}
	return r, nil
}

func inspectTargets(rows []Row) TargetReport {
	var t TargetReport
	distinct := make(map[string]bool)
	words, with := 0, 0
	for _, row := range rows {
		if row.Target == "" {
			t.Missing++
			continue
		}
		distinct[row.Target] = true
		if !metric.Sees(row.Target) {
			t.Unseen++
		}
		n := len(strings.Fields(row.Target))
		if with == 0 {
			t.MinWords = n
		}
		t.MinWords, t.MaxWords = min(t.MinWords, n), max(t.MaxWords, n)
		words += n
		with++
	}
	t.Distinct = len(distinct)
	if with > 0 {
		t.MeanWords = float64(words) / float64(with)
	}
	return t
}

// inspect decodes all files of one modality.
func (s *Set) inspect(name string, wrong *problems) ModalityReport {
	r := ModalityReport{Kind: s.Kinds[name]}
	sizes := make(map[string]int)
	for _, row := range s.Rows {
		if !row.Has(name) {
			r.Missing++
			continue
		}
		r.Rows++
		if r.Kind == Text {
			r.Bytes += int64(len(row.Text))
			sizes["UTF-8"]++
			continue
		}
		if wrong.full() {
			continue
		}
		file := row.Files[name]
		raw, err := s.read(file)
		if err != nil {
			wrong.add(fmt.Errorf("%s: %w", row.where(), err))
			continue
		}
		r.Bytes += int64(len(raw))
		size, err := measureFile(r.Kind, raw)
		switch {
		case err == nil:
			sizes[size]++
		case r.Kind == Series: // its errors begin with the line
			wrong.add(fmt.Errorf("%s: %s:%w", row.where(), file, err))
		default:
			wrong.add(fmt.Errorf("%s: %s: %w", row.where(), file, err))
		}
	}
	r.Detail = commonest(sizes)
	return r
}

// measureFile decodes a file and says in a few words what it holds.
func measureFile(kind string, raw []byte) (string, error) {
	switch kind {
	case Image:
		p, err := decodeImage(raw)
		if err != nil {
			return "", err
		}
		colour := "colour"
		if p.grey() {
			colour = "grey"
		}
		return fmt.Sprintf("%dx%d %s", p.width, p.height, colour), nil
	case Audio:
		c, err := decodeWAV(raw)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%g kHz", float64(c.rate)/1000), nil
	default:
		t, err := decodeCSV(raw)
		if err != nil {
			return "", err
		}
		return strings.Join(t.names, " "), nil
	}
}

// commonest lists up to three sizes by how often they occur.
func commonest(sizes map[string]int) string {
	names := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	if len(names) > 3 {
		names = append(names[:3], fmt.Sprintf("%d others", len(names)-3))
	}
	return strings.Join(names, ", ")
}
