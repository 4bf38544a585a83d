package method

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

const (
	maxState      = 4 << 30 // bytes of a state file
	kindFile      = "kind"  // first file: what learner wrote the state
	lessonsFile   = "supervision"
	outboxFile    = "outbox.safetensors"
	modelSuffix   = ".safetensors"
	stateVersion  = "mlecs state 2 "
	maxStateFiles = 16
)

// savedModel is a model by its name within a state.
type savedModel struct {
	name  string
	model *model.Model
}

// writeState writes a tar with the kind of learner, its models, and the supervision and the outbox that it has, if any. There are no times and owners in
// it: equal states give equal bytes.
func writeState(w io.Writer, kind string, models []savedModel, s *Supervision, o *outbox) error {
	archive := tar.NewWriter(w)
	put := func(name string, body []byte) error {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(body)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err := archive.Write(body)
		return err
	}
	err := put(kindFile, []byte(stateVersion+kind))
	for _, m := range models {
		var body bytes.Buffer
		err = errors.Join(err, m.model.WriteState(&body))
		if err == nil {
			err = put(m.name+modelSuffix, body.Bytes())
		}
	}
	if s != nil && err == nil {
		var body []byte
		if body, err = EncodeSupervision(adapter.CodecSafetensors, s); err == nil {
			err = put(lessonsFile, body)
		}
	}
	if o != nil && err == nil {
		var body bytes.Buffer
		if err = o.write(&body); err == nil {
			err = put(outboxFile, body.Bytes())
		}
	}
	if err = errors.Join(err, archive.Close()); err != nil {
		return fmt.Errorf("writing the state of the %s learner: %w", kind, err)
	}
	return nil
}

// savedState is what readState found.
type savedState struct {
	models      map[string]*bytes.Reader
	supervision *Supervision
	outbox      []byte
}

// readState reads what writeState wrote for this kind of learner with models of these names.
func readState(r io.Reader, kind string, names ...string) (*savedState, error) {
	s, err := readArchive(tar.NewReader(io.LimitReader(r, maxState)), kind, names)
	if err != nil {
		return nil, fmt.Errorf("reading the state of the %s learner: %w", kind, err)
	}
	return s, nil
}

func readArchive(archive *tar.Reader, kind string, names []string) (*savedState, error) {
	s := &savedState{models: map[string]*bytes.Reader{}}
	files := map[string][]byte{}
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if _, twice := files[header.Name]; twice || len(files) == maxStateFiles || header.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("file %q is not a file, occurs twice, or is one too many", header.Name)
		}
		body, err := io.ReadAll(io.LimitReader(archive, maxState))
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", header.Name, err)
		}
		files[header.Name] = body
	}
	if got, ok := strings.CutPrefix(string(files[kindFile]), stateVersion); !ok || got != kind {
		return nil, fmt.Errorf("it says %.60q, not %q", files[kindFile], stateVersion+kind)
	}
	for name, body := range files {
		switch {
		case name == kindFile:
		case name == lessonsFile:
			var err error
			if s.supervision, err = DecodeSupervision(body, maxState/16); err != nil {
				return nil, err
			}
		case name == outboxFile:
			s.outbox = body
		case slices.Contains(names, strings.TrimSuffix(name, modelSuffix)):
			s.models[strings.TrimSuffix(name, modelSuffix)] = bytes.NewReader(body)
		default:
			return nil, fmt.Errorf("unknown file %q", name)
		}
	}
	for _, name := range names {
		if s.models[name] == nil {
			return nil, fmt.Errorf("model %q is missing", name)
		}
	}
	return s, nil
}
