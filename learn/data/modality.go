package data

import (
	"fmt"
	"math"
	"slices"
)

// maxFitRows bounds how many rows Fit decodes; of a larger set it takes evenly spaced ones.
const maxFitRows = 4096

// clip bounds standardised values, so that a broken sensor at one node cannot blow up a model made with another's
// statistics.
const clip = 10

// Modality tells how one modality becomes a tensor. It holds all that Tensor needs besides the row, so that nodes which
// share it turn their rows into tensors alike.
type Modality struct {
	Name string
	Kind string
	// Shape of one row's tensor: image [channels, 32, 32], audio [1, 40, 32] (mel bands, frames), series
	// [2 x columns, 64] (values, then their distances from the row's mean), text [256].
	Shape []int
	// Channels are a series' CSV columns in tensor order; nil for other kinds.
	Channels []string
	// Mean and Std standardise: per channel of an image, per mel band, per channel of a series; nil for text.
	Mean, Std []float64
	// Rate in Hz to which audio is resampled, and Seconds of it that are looked at; 0 for other kinds.
	Rate, Seconds float64
}

// Validate tells whether m is something that Fit could have made; m may have come from another node.
func (m Modality) Validate() error {
	groups := 0
	switch m.Kind {
	case Image:
		if len(m.Shape) == 3 {
			groups = m.Shape[0]
		}
		if !slices.Equal(m.Shape, []int{groups, imageSize, imageSize}) || groups != 1 && groups != 3 {
			return fmt.Errorf("modality %s: shape %v of an image is not [1 or 3, %d, %d]", m.Name, m.Shape, imageSize, imageSize)
		}
	case Audio:
		groups = melBands
		if !slices.Equal(m.Shape, []int{1, melBands, melFrames}) {
			return fmt.Errorf("modality %s: shape %v of audio is not [1, %d, %d]", m.Name, m.Shape, melBands, melFrames)
		}
		if !(m.Rate >= minRate && m.Rate <= maxFitRate) || m.Rate != math.Trunc(m.Rate) {
			return fmt.Errorf("modality %s: rate %g Hz is not a whole number from %d to %d", m.Name, m.Rate, minRate, maxFitRate)
		}
		if !(m.Seconds > 0 && m.Seconds <= maxFitSeconds) {
			return fmt.Errorf("modality %s: %g s is not within 0 to %d", m.Name, m.Seconds, maxFitSeconds)
		}
	case Series:
		groups = 2 * len(m.Channels)
		if len(m.Channels) == 0 || len(m.Channels) > maxColumns || !slices.Equal(m.Shape, []int{groups, seriesSteps}) {
			return fmt.Errorf("modality %s: shape %v of a series with %d columns is not [%d, %d]", m.Name, m.Shape, len(m.Channels), groups, seriesSteps)
		}
	case Text:
		if !slices.Equal(m.Shape, []int{textFeatures}) {
			return fmt.Errorf("modality %s: shape %v of text is not [%d]", m.Name, m.Shape, textFeatures)
		}
	default:
		return fmt.Errorf("modality %s: unknown kind %q", m.Name, m.Kind)
	}
	if len(m.Mean) != groups || len(m.Std) != groups {
		return fmt.Errorf("modality %s: %d means and %d deviations for %d channels", m.Name, len(m.Mean), len(m.Std), groups)
	}
	for i := range m.Mean {
		if math.IsNaN(m.Mean[i]) || math.IsInf(m.Mean[i], 0) || !(m.Std[i] > 0) || math.IsInf(m.Std[i], 0) {
			return fmt.Errorf("modality %s: mean %g and deviation %g of channel %d cannot standardise", m.Name, m.Mean[i], m.Std[i], i)
		}
	}
	return nil
}

// Fit chooses shape and statistics of every modality that one of rows has, in name order. Pass training rows only.
// Of more than 4,096 rows it looks at that many, evenly spaced.
func (s *Set) Fit(rows []Row) ([]Modality, error) {
	var fitted []Modality
	for _, name := range s.Modalities() {
		var with []Row
		for _, row := range rows {
			if row.Has(name) {
				with = append(with, row)
			}
		}
		if len(with) == 0 {
			continue
		}
		m, err := s.fit(name, spaced(with, maxFitRows))
		if err != nil {
			return nil, fmt.Errorf("fitting modality %s: %w", name, err)
		}
		fitted = append(fitted, m)
	}
	if len(fitted) == 0 {
		return nil, fmt.Errorf("fitting data set %s: no row has a modality", s.Name)
	}
	return fitted, nil
}

// spaced is at most n of the rows at even distances.
func spaced(rows []Row, n int) []Row {
	if len(rows) <= n {
		return rows
	}
	some := make([]Row, n)
	for i := range some {
		some[i] = rows[i*len(rows)/n]
	}
	return some
}

func (s *Set) fit(name string, rows []Row) (Modality, error) {
	m := Modality{Name: name, Kind: s.Kinds[name]}
	var err error
	switch m.Kind {
	case Image:
		err = s.shapeImage(&m, rows)
	case Audio:
		err = s.shapeAudio(&m, rows)
	case Series:
		err = s.shapeSeries(&m, rows)
	case Text:
		m.Shape = []int{textFeatures}
		return m, nil
	default:
		err = fmt.Errorf("unknown kind %q", m.Kind)
	}
	if err != nil {
		return m, err
	}
	var stats []moments
	for _, row := range rows {
		raw, err := s.features(row, m)
		if err != nil {
			return m, err
		}
		if stats == nil {
			stats = make([]moments, m.groups())
		}
		span := len(raw) / len(stats)
		for g := range stats {
			for _, v := range raw[g*span : (g+1)*span] {
				stats[g].add(v)
			}
		}
	}
	for _, st := range stats {
		m.Mean = append(m.Mean, st.mean)
		m.Std = append(m.Std, st.deviation())
	}
	return m, m.Validate()
}

// groups is how many parts of a tensor have statistics of their own.
func (m Modality) groups() int {
	if m.Kind == Audio {
		return melBands
	}
	return m.Shape[0]
}

// Tensor decodes one modality of one row to m.Shape, standardised, flat, in row-major order; nil if the row lacks it.
func (s *Set) Tensor(row Row, m Modality) ([]float32, error) {
	if !row.Has(m.Name) {
		return nil, nil
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if kind := s.Kinds[m.Name]; kind != m.Kind {
		return nil, fmt.Errorf("row %s: modality %s is %s here, not %s", row.ID, m.Name, kind, m.Kind)
	}
	raw, err := s.features(row, m)
	if err != nil {
		return nil, err
	}
	tensor := make([]float32, len(raw))
	if m.Kind == Text {
		for i, v := range raw {
			tensor[i] = float32(v)
		}
		return tensor, nil
	}
	span := len(raw) / m.groups()
	for i, v := range raw {
		g := i / span
		tensor[i] = float32(min(max((v-m.Mean[g])/m.Std[g], -clip), clip))
	}
	return tensor, nil
}

// features is the tensor before it is standardised.
func (s *Set) features(row Row, m Modality) ([]float64, error) {
	if m.Kind == Text {
		return hashText(row.Text), nil
	}
	file := row.Files[m.Name]
	raw, err := s.read(file)
	if err == nil {
		switch m.Kind {
		case Image:
			var p *picture
			if p, err = decodeImage(raw); err == nil {
				return p.planes(m.Shape[0]), nil
			}
		case Audio:
			var c *recording
			if c, err = decodeWAV(raw); err == nil {
				return logMel(c.resample(int(m.Rate)), m), nil
			}
		case Series:
			// Its errors begin with a line number, and "file:line: ..." reads best without a space.
			var t *table
			if t, err = decodeCSV(raw); err == nil {
				return t.steps(m.Channels, file)
			}
			return nil, fmt.Errorf("%s: %s:%w", row.where(), file, err)
		}
	}
	return nil, fmt.Errorf("%s: %s: %w", row.where(), file, err)
}

// where tells the reader of an error which line to look at.
func (r Row) where() string {
	if r.Line == 0 {
		return "row " + r.ID
	}
	return fmt.Sprintf("%s:%d", MetadataFile, r.Line)
}

// moments are running mean and variance (Welford 1962), which unlike sums of squares survive large offsets.
type moments struct {
	n, mean, m2 float64
}

func (m *moments) add(v float64) {
	m.n++
	d := v - m.mean
	m.mean += d / m.n
	m.m2 += d * (v - m.mean)
}

// deviation is 1 where the values hardly differ, so that a constant channel becomes 0 and not noise.
func (m *moments) deviation() float64 {
	if m.n == 0 {
		return 1
	}
	d := math.Sqrt(m.m2 / m.n)
	if d <= 1e-6*(1+math.Abs(m.mean)) {
		return 1
	}
	return d
}
