package method

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mlecs/mlecs/learn/adapter"
)

// outbox turns what an edge has learned into what it sends. With a codec of differences it keeps what that loses for the next round.
type outbox struct {
	codec    adapter.Codec
	initial  map[string]adapter.Component // of all shared components
	replaced map[string]bool              // components that the last aggregate absorbed had
	lost     map[string]*adapter.Feedback // of components that were sent
	released uint64                       // how many times protected values were sent
}

func newOutbox(codec string, initial []adapter.Component) (*outbox, error) {
	c, err := adapter.ParseCodec(codec)
	if err != nil {
		return nil, err
	}
	return &outbox{codec: c, initial: byName(initial), replaced: map[string]bool{}, lost: map[string]*adapter.Feedback{}}, nil
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

// merged notes which components the model has taken from deltas, its own as it was sent among them. Of the others nothing is lost.
func (o *outbox) merged(names []string) {
	maps.DeleteFunc(o.lost, func(name string, _ *adapter.Feedback) bool { return !slices.Contains(names, name) })
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
	if !adapter.OfDifferences(o.codec.Name()) {
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
// names are those of component and tensor, with lostSeparator between them. Under metaReleased is how many times protected values were
// sent; if it is absent, never.
const (
	metaReplaced  = "mlecs.outbox.replaced"
	metaReleased  = "mlecs.outbox.released"
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
		meta := map[string]string{metaReplaced: string(names)}
		if o.released > 0 {
			meta[metaReleased] = strconv.FormatUint(o.released, 10)
		}
		err = adapter.WriteTensors(w, tensors, meta)
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
	var released uint64
	if count, ok := meta[metaReleased]; ok {
		if released, err = strconv.ParseUint(count, 10, 64); err != nil {
			return fmt.Errorf("reading what is left to send: metadata %q: %w", metaReleased, err)
		}
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
	o.lost, o.replaced, o.released = lost, map[string]bool{}, released
	for _, name := range names {
		o.replaced[name] = true
	}
	return nil
}
