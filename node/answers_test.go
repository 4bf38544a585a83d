package node

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// TestAnswers: nodes that run, and then the same nodes stopped, are asked what their models make of rows.
func TestAnswers(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c := newCluster(t, record.RoundPolicy{Rounds: 1, Quorum: 1, Min: 2, Deadline: 60_000})
	super := c.nodes["super"]
	super.start()
	both, one := c.join("both"), c.join("one", "sensor")
	both.start()
	one.start()
	for _, m := range []*member{super, both, one} {
		m.until("is done", isDone)
	}
	strangers := filepath.Join(c.dir, "strangers")
	rows := tinyRows("x", 2, 8)
	rows[3].lacks, rows[4].lacks = "image", "sensor"
	writeTiny(t, strangers, 9, rows)

	running := map[*member]*api.Evaluation{}
	for _, m := range []*member{super, both, one} {
		running[m] = evalOwn(t, m)
	}
	checkOtherRows(t, both, strangers)
	checkAnswers(t, c, both, one, strangers)
	for _, m := range []*member{super, both, one} {
		m.halt()
		if stopped := evalOwn(t, m); !reflect.DeepEqual(stopped, running[m]) {
			t.Errorf("%s stopped:\n%+v, running:\n%+v", m.home.Dir, stopped, running[m])
		}
	}
	checkOtherRows(t, both, strangers)
	checkAnswers(t, c, both, one, strangers)
	checkPruned(t, super, both)
	if left, err := os.ReadDir(os.TempDir()); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "mlecs-rows-") }) {
		t.Errorf("temporary folders are left: %v, %v", left, err)
	}
}

// evalOwn scores a node on its own rows: what the learner itself found after the last round.
func evalOwn(t *testing.T, m *member) *api.Evaluation {
	t.Helper()
	src := m.source()
	e, err := src.Eval(t.Context(), api.EvalRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := src.Scores(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := s.Together[len(s.Together)-1]
	if e.All.Rows != 4 || e.All.Scores.RougeLsum.F != last.RougeLsum || e.All.Scores.ExactMatch != last.ExactMatch {
		t.Errorf("%s: %+v, the learner stored %+v", e.Node, e.All, last)
	}
	if e.All.Constant == nil || e.All.Constant.RougeLsum.F != s.Constant.RougeLsum || e.All.Constant.ExactMatch != s.Constant.ExactMatch {
		t.Errorf("%s: constant %+v, the learner stored %+v", e.Node, e.All.Constant, s.Constant)
	}
	wantState, wantSubset := stateAdapted, "image+sensor"
	switch e.Node {
	case "super":
		wantState = stateAbsorbed
	case "one":
		wantSubset = "sensor"
	}
	if e.Model.State != wantState || e.Model.Round != 1 {
		t.Errorf("%s: model %+v, want %s, round 1", e.Node, e.Model, wantState)
	}
	if len(e.Subsets) != 1 || e.Subsets[0].Name != wantSubset || e.Subsets[0].Rows != 4 {
		t.Errorf("%s: subsets %+v", e.Node, e.Subsets)
	}
	return e
}

func checkOtherRows(t *testing.T, m *member, dir string) {
	t.Helper()
	rows, release, err := RowsOfSplit(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer release.Close()
	e, err := m.source().Eval(t.Context(), api.EvalRequest{Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	counts := func(groups []api.EvalGroup) map[string]int {
		m := map[string]int{}
		for _, g := range groups {
			m[g.Name] = g.Rows
		}
		return m
	}
	if got, want := counts(e.Subsets), map[string]int{"image": 1, "image+sensor": 6, "sensor": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("rows by subset: %v, want %v", got, want)
	}
	if len(e.Attributes) != 1 || e.Attributes[0].Field != "label" {
		t.Fatalf("attributes %+v, want label alone: the domain is the same everywhere", e.Attributes)
	}
	if got, want := counts(e.Attributes[0].Values), map[string]int{"bright fast": 2, "bright slow": 2, "dark fast": 2, "dark slow": 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("rows by label: %v, want %v", got, want)
	}
	mean := 0.0
	for _, g := range e.Attributes[0].Values {
		mean += g.Scores.Rouge1.F * float64(g.Rows) / float64(e.All.Rows)
	}
	if math.Abs(mean-e.All.Scores.Rouge1.F) > 1e-9 {
		t.Errorf("the labels' Rouge-1 is %v on average, that of all rows %v", mean, e.All.Scores.Rouge1.F)
	}
}

func checkAnswers(t *testing.T, c *cluster, both, one *member, strangers string) {
	t.Helper()
	own := "both-dark-slow-0"
	a, err := both.source().Generate(t.Context(), api.GenerateRequest{Row: own})
	if err != nil {
		t.Fatal(err)
	}
	if a.Row != own || a.Target != "dark slow" || !slices.Equal(a.Used, []string{"image", "sensor"}) || len(a.Ignored) != 0 || a.Answer == a.Untrained {
		t.Errorf("answer %+v", a)
	}
	image, sensor := filepath.Join(strangers, "image", "x-dark-slow-0.png"), filepath.Join(strangers, "sensor", "x-dark-slow-0.csv")
	fromFiles := ask(t, both, map[string]string{"image": image, "sensor": sensor})
	rows, release, err := RowOf(strangers, "x-dark-slow-0")
	if err != nil {
		t.Fatal(err)
	}
	defer release.Close()
	fromRow, err := both.source().Generate(t.Context(), api.GenerateRequest{Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	if fromFiles.Answer != fromRow.Answer || fromFiles.Untrained != fromRow.Untrained || fromFiles.Target != "" {
		t.Errorf("files give %+v, the row of the same files %+v", fromFiles, fromRow)
	}
	rows, release, err = RowOf(strangers, "x-dark-slow-0")
	if err != nil {
		t.Fatal(err)
	}
	defer release.Close()
	if a, err := one.source().Generate(t.Context(), api.GenerateRequest{Rows: rows}); err != nil || !slices.Equal(a.Ignored, []string{"image"}) || !slices.Equal(a.Used, []string{"sensor"}) {
		t.Errorf("a node without images: %+v, %v", a, err)
	}
	checkRefusals(t, c, one, strangers, image, sensor)
}

func ask(t *testing.T, m *member, files map[string]string) *api.Answer {
	t.Helper()
	rows, err := RowOfFiles(files, "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.source().Generate(t.Context(), api.GenerateRequest{Rows: rows, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// checkRefusals: the node one has only sensors.
func checkRefusals(t *testing.T, c *cluster, one *member, strangers, image, sensor string) {
	t.Helper()
	broken := filepath.Join(c.dir, "broken.csv")
	writeFileT(t, broken, []byte("no,numbers\nat,all\n"))
	src := one.source()
	files := func(files map[string]string, text string) func() error {
		return func() error {
			rows, err := RowOfFiles(files, text)
			if err != nil {
				t.Fatal(err)
			}
			_, err = src.Generate(t.Context(), api.GenerateRequest{Rows: rows, Strict: true})
			return err
		}
	}
	upload := func(index string, archive []byte) func() error {
		return func() error {
			_, err := src.Eval(t.Context(), api.EvalRequest{Rows: &api.Rows{Index: []byte(index), Files: bytes.NewReader(archive)}})
			return err
		}
	}
	escaping := func() []byte {
		var b bytes.Buffer
		writeTar(t, &b, "../../escaped.csv", "t,a\n0,1\n1,2\n")
		return b.Bytes()
	}
	cases := []struct {
		name string
		ask  func() error
		is   error
		says []string
	}{
		{"a modality that the node does not use", files(map[string]string{"image": image, "sensor": sensor}, ""), api.ErrBadRequest, []string{"image", "has sensor (series)"}},
		{"text to a node without", files(nil, "hello"), api.ErrBadRequest, []string{"text", "has sensor (series)"}},
		{"a file of another kind", files(map[string]string{"sensor": image}, ""), api.ErrBadRequest, []string{`"sensor" is image`, "series for this node"}},
		{"a file that is broken", files(map[string]string{"sensor": broken}, ""), api.ErrBadRequest, []string{"sensor/broken.csv", "2"}},
		{"a row that is not there", func() error {
			_, err := src.Generate(t.Context(), api.GenerateRequest{Row: "nobody"})
			return err
		}, api.ErrNotFound, []string{`"nobody"`, "one-"}},
		{"a split that is none", func() error { _, err := src.Eval(t.Context(), api.EvalRequest{Split: "exam"}); return err }, api.ErrBadRequest, []string{"exam", "validation"}},
		{"a split without rows", func() error { _, err := src.Eval(t.Context(), api.EvalRequest{Split: "validation"}); return err }, api.ErrBadRequest, []string{"no rows with split validation"}},
		{"rows that are none", upload("nonsense", nil), api.ErrBadRequest, []string{"metadata.jsonl:1"}},
		{"files that are no tar", upload("{}", []byte(strings.Repeat("x", 1024))), api.ErrBadRequest, []string{"entry 1"}},
		{"files that would escape", upload(`{"id": "a", "sensor_file_name": "a.csv", "target": "x", "split": "test"}`, escaping()), api.ErrBadRequest, []string{"escaped.csv", "not within"}},
		{"a row without target", upload(`{"id": "a", "text": "x", "split": "test"}`, nil), api.ErrBadRequest, []string{"row a has no target"}},
		{"rows of other modalities", upload(`{"id": "a", "text": "x", "target": "y", "split": "test"}`, nil), api.ErrBadRequest, []string{"only text", "has sensor (series)"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.ask()
			if !errors.Is(err, tc.is) {
				t.Errorf("got %v, want an error that is %v", err, tc.is)
			}
			for _, want := range tc.says {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

// checkPruned: without base model and state there is a clear error.
func checkPruned(t *testing.T, super, edge *member) {
	t.Helper()
	remove := func(path string) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, m *member) {
		if _, err := m.source().Eval(t.Context(), api.EvalRequest{}); err == nil || !strings.Contains(err.Error(), "--keep") {
			t.Errorf("%s: %v, want advice to use --keep", what, err)
		}
	}
	remove(edge.home.path(modelsDir))
	refused("an edge without its state", edge)
	remove(edge.home.path("blobs"))
	refused("an edge without its base", edge)
	v := openView(t, super)
	for _, a := range v.recent.rounds() {
		remove(v.store.BlobPath(a.body.Checkpoint.CID))
	}
	refused("a super-peer without a checkpoint", super)
}

func writeTar(t *testing.T, w io.Writer, name, content string) {
	t.Helper()
	out := tar.NewWriter(w)
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(out, content); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// openView reads a stopped node's home until the test ends.
func openView(t *testing.T, m *member) *view {
	t.Helper()
	src := m.source()
	v, ok := src.(*view)
	if !ok {
		t.Fatalf("%s runs: its source is %T", m.home.Dir, src)
	}
	return v
}

// TestModelFollowsTheEdge: the model that answers is the learner's at every point of a round.
func TestModelFollowsTheEdge(t *testing.T) {
	c := newCluster(t, record.RoundPolicy{Rounds: 2, Quorum: 1, Min: 2, Deadline: 600_000})
	super := c.nodes["super"]
	super.start()
	both := c.join("both")
	never := openView(t, both)
	if _, err := never.Eval(t.Context(), api.EvalRequest{}); err == nil || !strings.Contains(err.Error(), "mlecs start") {
		t.Errorf("a node that never ran: %v", err)
	}
	never.store.Close()
	both.start()
	both.until("waits for the other edge in round 1", func(s *api.Status) bool { return s.Phase == phaseWaiting && s.Round == 0 && trainedRound(t, both) == 1 })
	checkModel(t, both.source(), stateTrained, 1)
	both.halt()

	v := openView(t, both)
	checkModel(t, v, stateTrained, 1)
	fresh, err := v.untrainedModel()
	if err != nil {
		t.Fatal(err)
	}
	if fresh.about.State != stateUntrained || fresh.about.Round != 0 {
		t.Errorf("the untrained model is %+v", fresh.about)
	}
	before := stateOf(t, both, v)
	v.store.Close()

	one := c.join("one", "sensor")
	one.start()
	both.start()
	for _, m := range []*member{both, one} {
		m.until("is done", isDone)
	}
	both.halt()

	// Back to where the edge had trained round 1 and its aggregate came in.
	before.restore(t, both)
	v = openView(t, both)
	defer v.store.Close()
	if v.recent, err = v.books(); err != nil {
		t.Fatal(err)
	}
	delete(v.recent.aggregates, 2)
	e := checkModel(t, v, stateAbsorbed, 1)
	s, err := v.Scores(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := s.Together[1]; want.Round != 1 || e.All.Scores.RougeLsum.F != want.RougeLsum || e.All.Scores.ExactMatch != want.ExactMatch {
		t.Errorf("scores %+v, the learner stored %+v", e.All.Scores, want)
	}
}

func checkModel(t *testing.T, src api.Source, state string, round uint64) *api.Evaluation {
	t.Helper()
	e, err := src.Eval(t.Context(), api.EvalRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Model.State != state || e.Model.Round != round {
		t.Errorf("model %+v, want %s, round %d", e.Model, state, round)
	}
	return e
}

// trainedRound is the newest round that an edge has published a delta of.
func trainedRound(t *testing.T, m *member) (round uint64) {
	t.Helper()
	deltas, err := m.source().Deltas(t.Context(), api.Window{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deltas {
		round = max(round, d.Round)
	}
	return round
}

// savedEdge is what an edge had stored at some time.
type savedEdge struct {
	state edgeState
	model []byte
}

func stateOf(t *testing.T, m *member, v *view) savedEdge {
	t.Helper()
	var s savedEdge
	if ok, err := getJSON(v.store, keyEdge, &s.state); err != nil || !ok {
		t.Fatalf("no state: %v", err)
	}
	var err error
	if s.model, err = os.ReadFile(filepath.Join(m.home.path(modelsDir), s.state.File)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s savedEdge) restore(t *testing.T, m *member) {
	t.Helper()
	writeFileT(t, filepath.Join(m.home.path(modelsDir), s.state.File), s.model)
	store, err := storage.Open(m.home.Dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(putJSON(store, keyEdge, s.state), store.Close()); err != nil {
		t.Fatal(err)
	}
}
