package method

import (
	"fmt"
	"slices"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Blob is a component as it travels.
type Blob struct {
	Codec string // its name, as a record has it
	Bytes []byte
}

// Open gives the component that a blob holds. A codec that codes differences needs the reference: the component of the aggregate that
// the edge's round started from, and where that has none of this name and signature, the one of Initial; other codecs do not look at it.
// No more than maxParams values are read.
func (b Blob) Open(reference adapter.Component, maxParams int64) (adapter.Component, error) {
	c, err := adapter.Decode(b.Codec, b.Bytes, maxParams)
	if err != nil || !adapter.OfDifferences(b.Codec) {
		return c, err
	}
	if c, err = added(reference, c); err != nil {
		return adapter.Component{}, err
	}
	return c, c.Check()
}

// OpenBy is Open by a decoder: what it gives is good until the decoder's next use, and may hold values that are not finite.
func (b Blob) OpenBy(d *adapter.Decoder, reference adapter.Component, maxParams int64) (adapter.Component, error) {
	c, err := d.Decode(b.Codec, b.Bytes, maxParams)
	if err != nil || !adapter.OfDifferences(b.Codec) {
		return c, err
	}
	return added(reference, c)
}

func added(reference, difference adapter.Component) (adapter.Component, error) {
	whole, err := reference.Plus(difference)
	if err != nil {
		return adapter.Component{}, fmt.Errorf("adding the difference to its reference: %w", err)
	}
	return whole, nil
}

// Initial are the components of a model with these modalities before it has learned anything, by name.
func Initial(cfg Config, base *model.Base, modalities []model.Modality) (map[string]adapter.Component, error) {
	l, err := newLearner(cfg, base, modalities, "initial")
	if err != nil {
		return nil, err
	}
	return byName(l.model.Components()), nil
}

func byName(components []adapter.Component) map[string]adapter.Component {
	m := make(map[string]adapter.Component, len(components))
	for _, c := range components {
		m[c.Name] = c
	}
	return m
}

// encodeAggregate gives an aggregated component as receivers have it, and its blob.
func encodeAggregate(codec string, c adapter.Component) (adapter.Component, Blob, error) {
	parsed, err := adapter.ParseCodec(codec)
	if err != nil {
		return c, Blob{}, err
	}
	raw, err := parsed.Encode(c)
	if err != nil {
		return c, Blob{}, err
	}
	b := Blob{Codec: parsed.Name(), Bytes: raw}
	c, err = b.Open(adapter.Component{}, c.Params())
	return c, b, err
}

// validateCodecs names the codec that cannot be used, and those that can.
func (c Config) validateCodecs() error {
	if _, err := adapter.ParseCodec(c.Codec); err != nil {
		return fmt.Errorf("method: codec: %w", err)
	}
	whole := []string{adapter.CodecSafetensors, adapter.CodecBF16, adapter.CodecInt8}
	for _, f := range []struct {
		name, value string
		allowed     []string
	}{
		{"aggregate_codec", c.AggregateCodec, whole},
		{"supervision_codec", c.SupervisionCodec, append(whole, adapter.CodecInt4)}, // nobody builds on representations
	} {
		if !slices.Contains(f.allowed, f.value) {
			return fmt.Errorf("method: %s is %q; it must be one of %v", f.name, f.value, f.allowed)
		}
	}
	return nil
}
