package method

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/adapter"
)

// outbox turns what an edge has learned into what it sends. With a codec of differences it keeps what that loses for the next round.
type outbox struct {
	codec    adapter.Codec
	initial  map[string]adapter.Component // of all shared components; nil if the codec does not code differences
	replaced map[string]bool              // components that the last aggregate absorbed had
	lost     map[string]*adapter.Feedback // of components that were sent
}

func newOutbox(codec string, initial []adapter.Component) (*outbox, error) {
	c, err := adapter.ParseCodec(codec)
	if err != nil {
		return nil, err
	}
	o := &outbox{codec: c, replaced: map[string]bool{}, lost: map[string]*adapter.Feedback{}}
	if adapter.OfDifferences(c.Name()) {
		o.initial = byName(initial)
	}
	return o, nil
}

// absorbed notes which components an aggregate has replaced. Of the others nothing is lost: the model still has all of it.
func (o *outbox) absorbed(names []string) {
	o.replaced = map[string]bool{}
	for _, name := range names {
		o.replaced[name] = true
	}
	for name := range o.lost {
		if !o.replaced[name] {
			delete(o.lost, name)
		}
	}
}

// send encodes learned components. started are the same ones before the round. It gives what receivers make of the blobs.
func (o *outbox) send(started, learned []adapter.Component) ([]adapter.Component, []Blob, error) {
	arrive, blobs := make([]adapter.Component, len(learned)), make([]Blob, len(learned))
	for i, c := range learned {
		blob, err := o.encode(started[i], c)
		if err == nil {
			blobs[i] = Blob{Codec: o.codec.Name(), Bytes: blob}
			arrive[i], err = blobs[i].Open(o.reference(started[i]), c.Params())
		}
		if err != nil {
			return nil, nil, fmt.Errorf("encoding %s: %w", c.Name, err)
		}
	}
	return arrive, blobs, nil
}

func (o *outbox) encode(started, learned adapter.Component) ([]byte, error) {
	if o.initial == nil {
		return o.codec.Encode(learned)
	}
	difference, err := learned.Minus(o.reference(started))
	if err != nil {
		return nil, err
	}
	if o.lost[learned.Name] == nil {
		o.lost[learned.Name] = new(adapter.Feedback)
	}
	blob, _, err := o.lost[learned.Name].Encode(o.codec, difference)
	return blob, err
}

// reference is what a difference is to.
func (o *outbox) reference(started adapter.Component) adapter.Component {
	if o.replaced[started.Name] {
		return started
	}
	return o.initial[started.Name]
}

// metaReplaced is the key of a saved outbox under which the replaced components' names are, as JSON. Its tensors are what was lost; their
// names are those of component and tensor, with lostSeparator between them.
const (
	metaReplaced  = "mlecs.outbox.replaced"
	lostSeparator = "|"
)

// write saves the outbox as a safetensors file.
func (o *outbox) write(w io.Writer) error {
	var tensors []adapter.Tensor
	for name, f := range o.lost {
		for _, t := range f.Lost().Tensors {
			t.Name = name + lostSeparator + t.Name
			tensors = append(tensors, t)
		}
	}
	names, err := json.Marshal(slices.Sorted(maps.Keys(o.replaced)))
	if err == nil {
		err = adapter.WriteTensors(w, tensors, map[string]string{metaReplaced: string(names)})
	}
	if err != nil {
		return fmt.Errorf("writing what is left to send: %w", err)
	}
	return nil
}

// read is write's inverse; like are the shared components. A file of another structure is an error, and changes nothing.
func (o *outbox) read(file []byte, like []adapter.Component) error {
	tensors, meta, err := adapter.ReadTensors(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return fmt.Errorf("reading what is left to send: %w", err)
	}
	var names []string
	if err := json.Unmarshal([]byte(meta[metaReplaced]), &names); err != nil {
		return fmt.Errorf("reading what is left to send: metadata %q: %w", metaReplaced, err)
	}
	parts := map[string][]adapter.Tensor{}
	for _, t := range tensors {
		var name string
		name, t.Name, _ = strings.Cut(t.Name, lostSeparator)
		parts[name] = append(parts[name], t)
	}
	lost := map[string]*adapter.Feedback{}
	for _, c := range like {
		if parts[c.Name] == nil {
			continue
		}
		rest := adapter.Component{Name: c.Name, Signature: c.Signature, Tensors: parts[c.Name]}
		if err := adapter.SameStructure(c, rest); err != nil {
			return fmt.Errorf("reading what is left to send: %w", err)
		}
		lost[c.Name] = adapter.NewFeedback(rest)
		delete(parts, c.Name)
	}
	if len(parts) > 0 {
		return fmt.Errorf("reading what is left to send: components %q are not shared", slices.Sorted(maps.Keys(parts)))
	}
	o.lost, o.replaced = lost, map[string]bool{}
	for _, name := range names {
		o.replaced[name] = true
	}
	return nil
}
