package data

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// seriesSteps is how many points a series has for a model.
const seriesSteps = 64

// Limits of one CSV file.
const (
	maxColumns    = 64
	maxSeriesRows = 200_000
)

// timeNames are the headers that make the first column the time axis.
var timeNames = []string{"t", "t_ms", "t_s", "time", "time_ms", "time_s", "timestamp", "timestamp_ms", "ms", "s", "seconds", "frame", "index"}

// table is a decoded series: columns by name over a common, never falling time.
type table struct {
	names   []string
	time    []float64
	columns [][]float64
}

// decodeCSV reads a comma-separated series: a header with the channels' names, then numbers. A first column with a name
// such as t_ms, time or frame is the time axis and must not fall; without one the rows are taken as evenly spaced.
// Errors begin with the line number.
func decodeCSV(raw []byte) (*table, error) {
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff"))))
	reader.ReuseRecord = true
	reader.TrimLeadingSpace = true
	fail := func(err error) (*table, error) {
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			if errors.Is(err, csv.ErrFieldCount) {
				return nil, fmt.Errorf("%d: not as many cells as the header has", parse.Line)
			}
			return nil, fmt.Errorf("%d: %w", parse.Line, parse.Err)
		}
		return nil, fmt.Errorf("1: %w", err)
	}
	header, err := reader.Read()
	if err == io.EOF {
		return nil, errors.New("1: no header")
	}
	if err != nil {
		return fail(err)
	}
	names, err := columnNames(header)
	if err != nil {
		return nil, fmt.Errorf("1: %w", err)
	}
	timed := slices.Contains(timeNames, strings.ToLower(names[0]))
	t := &table{names: names}
	if timed {
		t.names = names[1:]
	}
	if len(t.names) == 0 {
		return nil, errors.New("1: no column besides the time")
	}
	t.columns = make([][]float64, len(t.names))
	for {
		record, err := reader.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fail(err)
		}
		line, _ := reader.FieldPos(0)
		if len(t.time) == maxSeriesRows {
			return nil, fmt.Errorf("%d: more than %d rows", line, maxSeriesRows)
		}
		at := float64(len(t.time))
		for i, cell := range record {
			v, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
			if err != nil || math.IsNaN(v) || math.Abs(v) > math.MaxFloat32 {
				return nil, fmt.Errorf("%d: column %q: %q is not a finite number", line, names[i], cell)
			}
			switch {
			case timed && i == 0:
				at = v
			case timed:
				t.columns[i-1] = append(t.columns[i-1], v)
			default:
				t.columns[i] = append(t.columns[i], v)
			}
		}
		if n := len(t.time); n > 0 && at < t.time[n-1] {
			return nil, fmt.Errorf("%d: column %q: time goes back from %g to %g", line, names[0], t.time[n-1], at)
		}
		t.time = append(t.time, at)
	}
	if n := len(t.time); n < 2 || t.time[0] == t.time[n-1] {
		return nil, fmt.Errorf("%d: a series needs at least two rows at different times", n+1)
	}
	return t, nil
}

func columnNames(header []string) ([]string, error) {
	if len(header) > maxColumns {
		return nil, fmt.Errorf("%d columns, more than the limit of %d", len(header), maxColumns)
	}
	var names []string
	for i, cell := range header {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			return nil, fmt.Errorf("column %d has no name", i+1)
		}
		if _, err := strconv.ParseFloat(cell, 64); err == nil {
			return nil, fmt.Errorf("the first line must name the columns, but column %d is %q", i+1, cell)
		}
		if slices.Contains(names, cell) {
			return nil, fmt.Errorf("two columns are named %q", cell)
		}
		names = append(names, cell)
	}
	return names, nil
}

// steps is the named channels, each at 64 evenly spaced times from the first to the last, and then for each the
// distance of every step from the channel's mean over the row. The second half tells how strongly something moves
// whichever way the device is turned, which convolutions find hard to learn from few rows.
func (t *table) steps(channels []string, file string) ([]float64, error) {
	out := make([]float64, 2*len(channels)*seriesSteps)
	for c, name := range channels {
		i := slices.Index(t.names, name)
		if i < 0 {
			return nil, fmt.Errorf("%s:1: no column %q", file, name)
		}
		values := out[c*seriesSteps : (c+1)*seriesSteps]
		t.resample(t.columns[i], values)
		mean := 0.0
		for _, v := range values {
			mean += v / seriesSteps
		}
		distance := out[(len(channels)+c)*seriesSteps:]
		for k, v := range values {
			distance[k] = math.Abs(v - mean)
		}
	}
	return out, nil
}

// resample interpolates linearly. Long series are first averaged in groups of neighbours, about two to a step: picking
// single points out of many would turn noise into signal. Points at one time count as their mean.
func (t *table) resample(column, out []float64) {
	time, value := t.time, column
	if group := len(time) / (2 * len(out)); group > 1 {
		time, value = grouped(time, group), grouped(value, group)
	}
	time, value = distinct(time, value)
	first, last := time[0], time[len(time)-1]
	k := 0
	for i := range out {
		at := first + (last-first)*float64(i)/float64(len(out)-1)
		for k+2 < len(time) && time[k+1] <= at {
			k++
		}
		share := min(max((at-time[k])/(time[k+1]-time[k]), 0), 1)
		out[i] = value[k] + share*(value[k+1]-value[k])
	}
}

// grouped is the means of n neighbours each; a shorter rest joins the last group.
func grouped(values []float64, n int) []float64 {
	means := make([]float64, len(values)/n)
	for g := range means {
		end := (g + 1) * n
		if g == len(means)-1 {
			end = len(values)
		}
		part := values[g*n : end]
		for _, v := range part {
			means[g] += v / float64(len(part))
		}
	}
	return means
}

// distinct averages the values of equal times.
func distinct(time, value []float64) (times, values []float64) {
	for i := 0; i < len(time); {
		j, sum := i, 0.0
		for ; j < len(time) && time[j] == time[i]; j++ {
			sum += value[j]
		}
		times = append(times, time[i])
		values = append(values, sum/float64(j-i))
		i = j
	}
	return times, values
}

// shapeSeries takes the columns of the first row's file; every other row must have them too, in any order.
func (s *Set) shapeSeries(m *Modality, rows []Row) error {
	file := rows[0].Files[m.Name]
	raw, err := s.read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", rows[0].where(), err)
	}
	t, err := decodeCSV(raw)
	if err != nil {
		return fmt.Errorf("%s: %s:%w", rows[0].where(), file, err)
	}
	m.Channels = t.names
	m.Shape = []int{2 * len(t.names), seriesSteps}
	return nil
}
