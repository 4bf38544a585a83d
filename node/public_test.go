package node

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

func ignore(string, int64, int64) {}

// packed is a home whose store holds a packed tiny data set and stand-ins for the base models.
func packed(t *testing.T, rows []tinyRow) (*Home, *storage.Store, *genesis) {
	t.Helper()
	h := &Home{Dir: t.TempDir()}
	store, err := storage.Open(h.Dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	set := writeTiny(t, t.TempDir(), 1, rows)
	ds, err := packPublic(t.Context(), h, store, set, rowsOf(set, train), method.LabelsCloud, ignore)
	if err != nil {
		t.Fatal(err)
	}
	g := &genesis{id: someFederation, Federation: &record.Federation{Name: "tiny", Data: ds}}
	base := func(name string) record.Base {
		b, err := store.PutBlobBytes([]byte("base model " + name))
		if err != nil {
			t.Fatal(err)
		}
		return record.Base{Name: name, Blob: b}
	}
	g.Bases = record.Bases{Edge: []record.Base{base("small"), base("other")}, Super: base("large")}
	return h, store, g
}

func TestPublicDataTellsNoTarget(t *testing.T) {
	rows := tinyRows("a", 12, 4)
	_, store, g := packed(t, rows)
	if g.Data.Rows != 12 {
		t.Errorf("%d public rows, want the 12 training rows", g.Data.Rows)
	}
	blobs := map[string]record.Blob{"index": g.Data.Index}
	for _, m := range g.Data.Modalities {
		blobs["archive of "+m.Name] = m.Archive
	}
	for name, b := range blobs {
		raw, err := store.ReadBlob(b.CID, b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"dark", "bright", "slow", "fast", "target", "label"} {
			if strings.Contains(string(raw), word) {
				t.Errorf("%s holds the word %q", name, word)
			}
		}
	}
	raw, err := store.ReadBlob(g.Data.Targets.CID, g.Data.Targets.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), `"target":"bright fast"`); n != 3 {
		t.Errorf("the targets blob has %d rows \"bright fast\", want 3:\n%s", n, raw)
	}
}

func TestPublicTargetsForEdges(t *testing.T) {
	store := newStore(t)
	set := writeTiny(t, t.TempDir(), 1, tinyRows("a", 8, 0))
	ds, err := packPublic(t.Context(), &Home{Dir: t.TempDir()}, store, set, set.Rows, method.LabelsEdges, ignore)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := store.ReadBlob(ds.Index.CID, ds.Index.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), `"target":"bright fast"`); n != 2 {
		t.Errorf("the index has %d rows \"bright fast\", want 2:\n%s", n, raw)
	}
}

func TestPublicDataDoesNotDependOnTheOrderOfRows(t *testing.T) {
	rows := tinyRows("a", 8, 0)
	set := writeTiny(t, t.TempDir(), 1, rows)
	pack := func(rows []data.Row) record.DataSet {
		h := &Home{Dir: t.TempDir()}
		ds, err := packPublic(t.Context(), h, newStore(t), set, rows, method.LabelsCloud, ignore)
		if err != nil {
			t.Fatal(err)
		}
		return ds
	}
	turned := slices.Clone(set.Rows)
	slices.Reverse(turned)
	a, b := pack(set.Rows), pack(turned)
	if a.Index != b.Index || a.Targets != b.Targets {
		t.Error("index or targets differ")
	}
	for i := range a.Modalities {
		if a.Modalities[i].Archive != b.Modalities[i].Archive {
			t.Errorf("archives of %s differ", a.Modalities[i].Name)
		}
	}
}

func TestProvision(t *testing.T) {
	cases := []struct {
		name        string
		role        record.Role
		modalities  []string
		wantTargets bool
		rows        int
		sensors     int
	}{
		{"an edge gets its modalities without targets", record.RoleEdge, []string{"sensor"}, false, 8, 8},
		{"an edge gets no rows of which it could see nothing", record.RoleEdge, []string{"image"}, false, 7, 0},
		{"a super-peer gets everything", record.RoleSuper, []string{"image", "sensor"}, true, 8, 8},
	}
	rows := tinyRows("a", 8, 0)
	rows[3].lacks = "image"
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			h, store, g := packed(t, rows)
			p := provision{seat: seat{genesis: g, role: tc.role}, home: h, store: store, modalities: tc.modalities, progress: ignore}
			if err := p.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			set, err := data.Open(h.path(publicDir))
			if err != nil {
				t.Fatal(err)
			}
			if got := set.Modalities(); !reflect.DeepEqual(got, tc.modalities) {
				t.Errorf("modalities %v, want %v", got, tc.modalities)
			}
			sensors := 0
			for _, r := range set.Rows {
				if (r.Target != "") != tc.wantTargets {
					t.Errorf("row %s has target %q", r.ID, r.Target)
				}
				if r.Files["sensor"] != "" {
					sensors++
				}
			}
			if len(set.Rows) != tc.rows || sensors != tc.sensors {
				t.Errorf("%d rows, %d with a sensor file, want %d and %d", len(set.Rows), sensors, tc.rows, tc.sensors)
			}
		})
	}
}

func TestProvisionBringsTheBasesOfTheSeat(t *testing.T) {
	_, _, g := packed(t, tinyRows("a", 4, 0))
	for _, tc := range []struct {
		name string
		seat seat
		want []string
	}{
		{"an edge of the first family", seat{g, record.RoleEdge, 0}, []string{"base model small"}},
		{"an edge of the second", seat{g, record.RoleEdge, 1}, []string{"base model other"}},
		{"a super-peer", seat{g, record.RoleSuper, 0}, []string{"base model large", "base model small", "base model other"}},
	} {
		p := provision{seat: tc.seat}
		var got []string
		for _, n := range p.needs() {
			if strings.HasPrefix(n.what, "base") {
				got = append(got, n.what)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s fetches %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestSeatOf(t *testing.T) {
	g := &genesis{Federation: &record.Federation{Name: "tiny"}}
	g.method.Families = []method.Family{method.SecondFamily()}
	for family, ok := range map[int]bool{0: true, 1: true, 2: false} {
		_, err := g.seatOf(record.RoleEdge, Config{Family: family})
		if (err == nil) != ok {
			t.Errorf("an edge of family %d: %v", family, err)
		}
		if s, err := g.seatOf(record.RoleSuper, Config{Family: family}); err != nil || s.family != 0 {
			t.Errorf("a super-peer with family %d in its config: %d, %v", family, s.family, err)
		}
	}
}

func TestProvisionNeedsAPublicRowOfItsModalities(t *testing.T) {
	rows := tinyRows("a", 8, 0)
	for i := range rows {
		rows[i].lacks = "image"
	}
	h, store, g := packed(t, rows)
	p := provision{seat: seat{genesis: g, role: record.RoleEdge}, home: h, store: store, modalities: []string{"image"}, progress: ignore}
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "has image") {
		t.Errorf("got %v, want an error that names the modality", err)
	}
}

func TestProvisionGoesOnWhereItWas(t *testing.T) {
	h, store, g := packed(t, tinyRows("a", 8, 0))
	p := provision{seat: seat{genesis: g, role: record.RoleEdge}, home: h, store: store, modalities: []string{"sensor"}, progress: ignore}
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(h.path(publicDir), "mark")
	writeFileT(t, mark, nil)
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("what was there was made again: %v", err)
	}
	p.modalities = []string{"image", "sensor"} // the config has changed
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	set, err := data.Open(h.path(publicDir))
	if err != nil {
		t.Fatal(err)
	}
	if got := set.Modalities(); !reflect.DeepEqual(got, p.modalities) {
		t.Errorf("modalities %v, want %v", got, p.modalities)
	}
	if left, _ := filepath.Glob(filepath.Join(h.Dir, "data", ".public-*")); len(left) != 0 {
		t.Errorf("temporary folders left: %v", left)
	}
}

func TestProvisionNamesWhatIsMissing(t *testing.T) {
	h, store, g := packed(t, tinyRows("a", 8, 0))
	g.Data.Targets = blobOf("targets that nobody stored")
	p := provision{seat: seat{genesis: g, role: record.RoleSuper}, home: h, store: store, modalities: modalityNames(g), progress: ignore}
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "public targets") {
		t.Errorf("got %v, want an error that names the public targets", err)
	}
}

func TestChooseModalities(t *testing.T) {
	g := &genesis{Federation: &record.Federation{Data: record.DataSet{Modalities: []record.Modality{
		{Name: "image", Kind: data.Image}, {Name: "sensor", Kind: data.Series}, {Name: "sound", Kind: data.Audio},
	}}}}
	set := &data.Set{Dir: "own", Kinds: map[string]string{"sensor": data.Series, "image": data.Image, "smell": data.Series}}
	cases := []struct {
		name  string
		asked []string
		set   *data.Set
		want  []string
		err   string
	}{
		{"all in common", nil, set, []string{"image", "sensor"}, ""},
		{"a subset, in the federation's order", []string{"sensor", "image"}, set, []string{"image", "sensor"}, ""},
		{"one", []string{"sensor"}, set, []string{"sensor"}, ""},
		{"one that the federation lacks", []string{"smell"}, set, nil, `"smell" is none of the federation's`},
		{"one that the data lacks", []string{"sound"}, set, nil, "sound_file_name"},
		{"another kind", nil, &data.Set{Dir: "own", Kinds: map[string]string{"image": data.Audio}}, nil, `modality "image" is image in the federation and audio`},
		{"nothing in common", nil, &data.Set{Dir: "own", Kinds: map[string]string{"smell": data.Series}}, nil, "no modality in common"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := chooseModalities(tc.asked, g, tc.set)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got error %v, want %q in it", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRowsWithoutTarget(t *testing.T) {
	rows := tinyRows("a", 3, 0)
	set := writeTiny(t, t.TempDir(), 1, rows)
	set.Rows[1].Target = ""
	err := requireTargets(set, set.Rows)
	if err == nil || !strings.Contains(err.Error(), metadataFile+":2") || !strings.Contains(err.Error(), rows[1].id) {
		t.Errorf("got %v, want an error that names line 2 and row %s", err, rows[1].id)
	}
}

// FuzzPublicLines: whatever a founder puts into index or targets, reading it ends in rows or in an error that names the line.
func FuzzPublicLines(f *testing.F) {
	f.Add("{\"id\":\"p1\",\"text\":\"x\"}\n")
	f.Add("{\"id\":\"\"}\n")
	f.Add("{\"id\":1}\n")
	f.Add("[]")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		err := eachLine(strings.NewReader(text), func(line map[string]string) error {
			n++
			if line["id"] == "" {
				t.Error("a line without id came through")
			}
			return nil
		})
		if err == nil && n == 0 && strings.TrimSpace(text) != "" {
			t.Errorf("%q gave neither rows nor an error", text)
		}
	})
}
