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

// soleModel names the model of a learner that has one.
func soleModel(m *model.Model) []savedModel { return []savedModel{{"model", m}} }

// cloudModels names those of a cloud: the large one, and the small ones, one a family.
func cloudModels(large *model.Model, small []*model.Model) []savedModel {
	all := []savedModel{{"large", large}}
	for family, m := range small {
		name := "proxy"
		if family > 0 {
			name = fmt.Sprintf("proxy-%d", family)
		}
		all = append(all, savedModel{name, m})
	}
	return all
}

// savedState is what readState found.
type savedState struct {
	kind        string
	models      []savedModel
	files       map[string]*bytes.Reader // of the models, by name
	supervision *Supervision
	outbox      []byte
}

// load makes the models those of the state. After an error they are of no use.
func (s *savedState) load() error {
	for _, m := range s.models {
		if err := m.model.ReadState(s.files[m.name]); err != nil {
			return fmt.Errorf("reading the state of the %s learner, %s: %w", s.kind, m.name, err)
		}
	}
	return nil
}

// readState reads what writeState wrote for this kind of learner with these models, which stay as they are until load.
func readState(r io.Reader, kind string, models []savedModel) (*savedState, error) {
	s, err := readArchive(tar.NewReader(io.LimitReader(r, maxState)), kind, models)
	if err != nil {
		return nil, fmt.Errorf("reading the state of the %s learner: %w", kind, err)
	}
	return s, nil
}

func readArchive(archive *tar.Reader, kind string, models []savedModel) (*savedState, error) {
	s := &savedState{kind: kind, models: models, files: map[string]*bytes.Reader{}}
	named := func(file string) func(savedModel) bool {
		return func(m savedModel) bool { return m.name+modelSuffix == file }
	}
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
		case slices.ContainsFunc(models, named(name)):
			s.files[strings.TrimSuffix(name, modelSuffix)] = bytes.NewReader(body)
		default:
			return nil, fmt.Errorf("unknown file %q", name)
		}
	}
	for _, m := range models {
		if s.files[m.name] == nil {
			return nil, fmt.Errorf("model %q is missing", m.name)
		}
	}
	return s, nil
}
