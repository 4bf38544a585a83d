package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// provision brings what a member needs before it can learn: the public data set, restricted to its modalities, and its base models. It
// repeats nothing that is done, so that an interrupted one goes on.
type provision struct {
	seat
	home       *Home
	store      *storage.Store
	modalities []string
	network    *p2p.Network  // nil: every blob is here already
	patience   time.Duration // without any progress, before giving up; 0: for ever
	progress   func(what string, done, total int64)
}

// need is one blob to fetch.
type need struct {
	what string
	blob record.Blob
}

func (p *provision) needs() []need {
	ds := p.genesis.Data
	list := []need{{"public index", ds.Index}}
	for _, m := range ds.Modalities {
		if m.Archive.CID.Defined() && slices.Contains(p.modalities, m.Name) {
			list = append(list, need{"public " + m.Name, m.Archive})
		}
	}
	for _, b := range p.bases() {
		list = append(list, need{"base model " + b.Name, b.Blob})
	}
	if p.role == record.RoleSuper {
		list = append(list, need{"public targets", ds.Targets})
	}
	return list
}

func (p *provision) run(ctx context.Context) error {
	for _, n := range p.needs() {
		if err := p.fetch(ctx, n); err != nil {
			return err
		}
	}
	if err := p.extract(ctx); err != nil {
		return fmt.Errorf("extract public data: %w", err)
	}
	return nil
}

// How long a fetch that no member could serve waits for other members; longer from try to try.
const (
	retrySoon  = 100 * time.Millisecond
	retryEvery = time.Second
)

// fetch brings one blob, as long as some progress is made.
func (p *provision) fetch(ctx context.Context, n need) error {
	if p.store.HasBlob(n.blob.CID) {
		p.progress(n.what, n.blob.Bytes, n.blob.Bytes)
		return nil
	}
	if p.network == nil {
		return fmt.Errorf("%s (%s) is not stored here", n.what, n.blob.CID)
	}
	p.progress(n.what, 0, n.blob.Bytes)
	last, reached := time.Now(), int64(0)
	for wait := retrySoon; ; wait = min(2*wait, retryEvery) {
		err := p.network.FetchBlob(ctx, n.blob, nil, func(done, total int64) {
			if done > reached { // a new try begins from what is here
				last, reached = time.Now(), done
				p.progress(n.what, done, total)
			}
		})
		if err == nil {
			p.progress(n.what, n.blob.Bytes, n.blob.Bytes)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if p.patience > 0 && time.Since(last) > p.patience {
			return fmt.Errorf("fetch %s: %w", n.what, err)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// sleep waits, or returns ctx's error if it ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// extracted says what data/public was made from.
type extracted struct {
	Index      string      `json:"index"`
	Role       record.Role `json:"role"`
	Modalities []string    `json:"modalities"`
}

// extract makes data/public anew unless it fits already; a crash leaves either none or the whole.
func (p *provision) extract(ctx context.Context) error {
	want := extracted{p.genesis.Data.Index.CID.String(), p.role, p.modalities}
	var have extracted
	dir := p.home.path(publicDir)
	if ok, err := getJSON(p.store, keyPublic, &have); err != nil {
		return err
	} else if ok && have.Index == want.Index && have.Role == want.Role && slices.Equal(have.Modalities, want.Modalities) {
		if _, err := os.Stat(filepath.Join(dir, metadataFile)); err == nil {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".public-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // nothing is left of it once renamed
	for i, m := range p.genesis.Data.Modalities {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.progress("extracting", int64(i), int64(len(p.genesis.Data.Modalities)))
		if m.Archive.CID.Defined() && slices.Contains(p.modalities, m.Name) {
			if err := p.extractArchive(tmp, m); err != nil {
				return fmt.Errorf("modality %s: %w", m.Name, err)
			}
		}
	}
	if err := p.writeMetadata(filepath.Join(tmp, metadataFile)); err != nil {
		return err
	}
	if _, err := data.Open(tmp); err != nil {
		return fmt.Errorf("the federation's public data is damaged: %w", err)
	}
	if err := p.store.Delete(keyPublic); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	p.progress("extracting", 1, 1)
	return putJSON(p.store, keyPublic, want)
}

func (p *provision) extractArchive(dir string, m record.Modality) error {
	r, size, err := p.store.OpenBlob(m.Archive.CID)
	if err != nil {
		return err
	}
	defer r.Close()
	return data.Extract(r, dir, size)
}

// maxIndex bounds the index and the targets of a public data set.
const maxIndex = 256 << 20

// writeMetadata writes the public rows' metadata: the index without the modalities that are not here and without rows that have no others,
// and on a super-peer with the targets.
func (p *provision) writeMetadata(path string) error {
	targets := map[string]string{}
	if p.role == record.RoleSuper {
		err := p.readLines(p.genesis.Data.Targets, func(line map[string]string) error {
			targets[line["id"]] = line["target"]
			return nil
		})
		if err != nil {
			return fmt.Errorf("public targets: %w", err)
		}
	}
	var out bytes.Buffer
	err := p.readLines(p.genesis.Data.Index, func(line map[string]string) error {
		left := 0
		for key := range line {
			name, isFile := strings.CutSuffix(key, fileSuffix)
			switch {
			case !isFile && name != data.Text:
			case slices.Contains(p.modalities, name):
				left++
			default:
				delete(line, key)
			}
		}
		if left == 0 {
			return nil
		}
		if p.role == record.RoleSuper {
			line["target"] = targets[line["id"]]
		}
		return appendLine(&out, line)
	})
	if err != nil {
		return fmt.Errorf("public index: %w", err)
	}
	if out.Len() == 0 {
		return fmt.Errorf("none of the federation's public rows has %s: join with another modality, or ask for public rows that have it", strings.Join(p.modalities, " or "))
	}
	return os.WriteFile(path, out.Bytes(), 0o600)
}

// readLines calls f for every line of a JSON lines blob of flat text objects.
func (p *provision) readLines(b record.Blob, f func(map[string]string) error) error {
	raw, err := p.store.ReadBlob(b.CID, maxIndex)
	if err != nil {
		return err
	}
	return eachLine(bytes.NewReader(raw), f)
}

// maxLine bounds one row's metadata.
const maxLine = 1 << 20

func eachLine(r io.Reader, f func(map[string]string) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		var line map[string]string
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if line["id"] == "" {
			return fmt.Errorf("line %d: no id", n)
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return sc.Err()
}
