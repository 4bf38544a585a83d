package data

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of metadata.jsonl.
const (
	maxLineBytes   = 1 << 20
	maxRows        = 500_000
	maxModalities  = 16
	maxNameBytes   = 256 // id, domain
	maxTargetBytes = 4 << 10
	maxTextBytes   = 64 << 10
)

const fileSuffix = "_file_name"

var splits = []string{"train", "validation", "test"}

// kindOf maps file extensions, in lower case, to kinds.
var kindOf = map[string]string{".png": Image, ".jpg": Image, ".jpeg": Image, ".wav": Audio, ".csv": Series}

// modalityName is what may stand before "_file_name": it becomes a part of component names such as "encoder/image" and
// "connector/image+sensor".
var modalityName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

// DecodeRows reads the lines of a metadata.jsonl and checks all but the files: paths must be relative and stay within
// the folder. It is for rows that arrive without their folder, such as the index of a public data set.
func DecodeRows(r io.Reader) ([]Row, error) {
	rows, _, err := decodeRows(r, func(string) error { return nil })
	return rows, err
}

// decodeRows also yields every modality's kind. checkFile is asked about each file named.
func decodeRows(r io.Reader, checkFile func(name string) error) ([]Row, map[string]string, error) {
	var (
		rows   []Row
		wrong  problems
		ids    = make(map[string]int)    // id -> line
		kinds  = make(map[string]string) // modality -> kind
		first  = make(map[string]int)    // modality -> line that told the kind
		report = func(line int, format string, args ...any) {
			wrong.add(fmt.Errorf("%s:%d: %w", MetadataFile, line, fmt.Errorf(format, args...)))
		}
	)
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLineBytes)
	line := 0
	for !wrong.full() && scanner.Scan() {
		line++
		text := scanner.Bytes()
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		if len(rows) == maxRows {
			report(line, "more than %d rows", maxRows)
			break
		}
		row, errs := decodeRow(text, line)
		for _, err := range errs {
			report(line, "%w", err)
		}
		if row == nil {
			continue
		}
		if before, ok := ids[row.ID]; ok {
			report(line, "field \"id\": %q is already the id of line %d", row.ID, before)
		}
		ids[row.ID] = line
		for _, name := range slices.Sorted(maps.Keys(row.Files)) {
			file := row.Files[name]
			kind := kindOf[strings.ToLower(path.Ext(file))]
			if have, ok := kinds[name]; ok && have != kind {
				report(line, "field %q: file %s is %s, but line %d says that %s is %s", name+fileSuffix, file, kind, first[name], name, have)
				continue
			}
			if kinds[name] == "" {
				kinds[name], first[name] = kind, line
			}
			if err := checkFile(file); err != nil {
				report(line, "field %q: %w", name+fileSuffix, err)
			}
		}
		if row.Text != "" {
			kinds[Text] = Text
		}
		if len(kinds) > maxModalities {
			report(line, "more than %d modalities", maxModalities)
			break
		}
		rows = append(rows, *row)
	}
	switch err := scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		report(line+1, "the line is longer than %d KiB", maxLineBytes>>10)
	case err != nil:
		return nil, nil, fmt.Errorf("reading %s: %w", MetadataFile, err)
	}
	if err := wrong.err(); err != nil {
		return nil, nil, err
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("%s has no rows", MetadataFile)
	}
	return rows, kinds, nil
}

// decodeRow checks one line by itself. The row is nil if the line is no JSON object.
func decodeRow(line []byte, number int) (*Row, []error) {
	if !utf8.Valid(line) {
		return nil, []error{errors.New("the line is not UTF-8")}
	}
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, []error{fmt.Errorf("not a JSON object: %w", err)}
	}
	if object == nil {
		return nil, []error{errors.New("not a JSON object: null")}
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, []error{errors.New("more than one JSON object on the line")}
	}

	row := &Row{Files: make(map[string]string), Fields: make(map[string]any), Line: number}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(object)) {
		value := object[key]
		if err := row.set(key, value); err != nil {
			errs = append(errs, fmt.Errorf("field %q: %w", key, err))
		}
	}
	if row.ID == "" {
		row.ID = fmt.Sprintf("row-%d", number)
	}
	if len(errs) == 0 && len(row.Files) == 0 && row.Text == "" {
		errs = append(errs, errors.New(`the row has no modality: no "NAME_file_name" and no "text"`))
	}
	return row, errs
}

// set takes one key of the line's object. A null is as good as an absent key.
func (r *Row) set(key string, value any) (err error) {
	if value == nil {
		return nil
	}
	switch key {
	case "id":
		r.ID, err = name(value)
	case "domain":
		r.Domain, err = name(value)
	case "text":
		r.Text, err = prose(value, maxTextBytes)
	case "target":
		r.Target, err = prose(value, maxTargetBytes)
	case "split":
		r.Split, err = prose(value, maxNameBytes)
		if err == nil && r.Split != "" && !slices.Contains(splits, r.Split) {
			err = fmt.Errorf("%q is not one of %s", r.Split, strings.Join(splits, ", "))
		}
	case "file_name":
		err = errors.New(`the key must say which modality the file is, as "image_file_name" does`)
	default:
		modality, ok := strings.CutSuffix(key, fileSuffix)
		if !ok {
			r.Fields[key] = value
			return nil
		}
		var file string
		if file, err = filePath(modality, value); err == nil && file != "" {
			r.Files[modality] = file
		}
	}
	return err
}

// name is a short identifier; numbers are taken as they are written.
func name(value any) (string, error) {
	if number, ok := value.(json.Number); ok {
		return number.String(), nil
	}
	text, err := prose(value, maxNameBytes)
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", fmt.Errorf("%q has control characters", text)
	}
	return text, nil
}

func prose(value any, limit int) (string, error) {
	text, ok := value.(string)
	if !ok {
		return "", errors.New("not a string")
	}
	if len(text) > limit {
		return "", fmt.Errorf("%d bytes, more than the limit of %d", len(text), limit)
	}
	return text, nil
}

// filePath checks the value of a key "MODALITY_file_name" and yields the cleaned path, "" for a missing modality.
func filePath(modality string, value any) (string, error) {
	if !modalityName.MatchString(modality) || modality == Text {
		return "", fmt.Errorf("%q cannot name a modality with files", modality)
	}
	file, err := prose(value, 1024)
	if err != nil || file == "" {
		return "", err
	}
	if strings.ContainsFunc(file, unicode.IsControl) || strings.Contains(file, `\`) {
		return "", fmt.Errorf("path %q has a backslash or control characters", file)
	}
	if path.IsAbs(file) || !filepath.IsLocal(filepath.FromSlash(file)) {
		return "", fmt.Errorf("path %s is not within the data set's folder", file)
	}
	file = path.Clean(file)
	return file, CheckType(file)
}

// CheckType refuses a file whose extension tells no kind.
func CheckType(file string) error {
	if kindOf[strings.ToLower(path.Ext(file))] == "" {
		return fmt.Errorf("file %s has an unknown type; known are %s", file, strings.Join(slices.Sorted(maps.Keys(kindOf)), " "))
	}
	return nil
}

// EncodeRows writes rows as the lines of a metadata.jsonl: id, files, text, target, domain and split, then the other
// fields by name. keep names the modalities to write, nil all; rows that have none of them are left out.
func EncodeRows(w io.Writer, rows []Row, keep []string) error {
	out := bufio.NewWriter(w)
	for _, row := range rows {
		row = row.only(keep)
		if len(row.Files) == 0 && row.Text == "" {
			continue
		}
		if err := row.encode(out); err != nil {
			return fmt.Errorf("writing row %s: %w", row.ID, err)
		}
	}
	return out.Flush()
}

// only is the row with nothing but the modalities in keep.
func (r Row) only(keep []string) Row {
	if keep == nil {
		return r
	}
	files := make(map[string]string)
	for name, file := range r.Files {
		if slices.Contains(keep, name) {
			files[name] = file
		}
	}
	r.Files = files
	if !slices.Contains(keep, Text) {
		r.Text = ""
	}
	return r
}

// encode writes the keys in an order that reads well, which a map would not keep.
func (r Row) encode(w *bufio.Writer) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	put := func(key string, value any) error {
		if line.Len() == 0 {
			line.WriteByte('{')
		} else {
			line.WriteString(", ")
		}
		if err := encoder.Encode(key); err != nil {
			return err
		}
		line.Truncate(line.Len() - 1) // the encoder ends every value with a newline
		line.WriteString(": ")
		if err := encoder.Encode(value); err != nil {
			return err
		}
		line.Truncate(line.Len() - 1)
		return nil
	}
	err := put("id", r.ID)
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		err = errors.Join(err, put(name+fileSuffix, r.Files[name]))
	}
	for _, field := range []struct{ key, value string }{
		{"text", r.Text}, {"target", r.Target}, {"domain", r.Domain}, {"split", r.Split},
	} {
		if field.value != "" {
			err = errors.Join(err, put(field.key, field.value))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Fields)) {
		err = errors.Join(err, put(key, r.Fields[key]))
	}
	if err != nil {
		return err
	}
	line.WriteString("}\n")
	_, err = w.Write(line.Bytes())
	return err
}
