package data

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// WithTarget is the set with another field's text as what is to be generated; "" and "target" change nothing. Every row
// must have it, as text or a number.
func (s *Set) WithTarget(field string) (*Set, error) {
	if field == "" || field == "target" {
		return s, nil
	}
	rows := slices.Clone(s.Rows)
	for i := range rows {
		value := rows[i].Fields[field]
		if number, ok := value.(json.Number); ok {
			value = number.String()
		}
		text, err := prose(value, maxTargetBytes)
		switch {
		case value == nil || text == "" && err == nil:
			return nil, fmt.Errorf("data set %s: %s has no field %q to generate; there are %s", s.Name, rows[i].where(), field, strings.Join(s.fields(), ", "))
		case err != nil:
			return nil, fmt.Errorf("data set %s: %s: field %q to generate: %w", s.Name, rows[i].where(), field, err)
		}
		rows[i].Target = text
	}
	other := *s
	other.Rows = rows
	return &other, nil
}

// fields names "target" and the further fields of all rows, in order.
func (s *Set) fields() []string {
	names := map[string]bool{"target": true}
	for _, row := range s.Rows {
		for name := range row.Fields {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
