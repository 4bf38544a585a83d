package data_test

import (
	"fmt"
	"image/color"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
)

func TestExamples(t *testing.T) {
	s := open(t, map[string]string{
		"metadata.jsonl": lines(
			`{"id": "a", "image_file_name": "a.png", "target": "x"}`,
			`{"id": "b", "sensor_file_name": "b.csv", "target": "y"}`,
			`{"id": "c", "image_file_name": "a.png", "sensor_file_name": "b.csv", "text": "where?"}`),
		"a.png": plain(color.White), "b.csv": "t,x\n0,1\n1,2\n",
	})
	mods, err := s.Fit(s.Rows)
	if err != nil {
		t.Fatal(err)
	}
	only := func(names ...string) []data.Modality {
		return slices.DeleteFunc(slices.Clone(mods), func(m data.Modality) bool { return !slices.Contains(names, m.Name) })
	}
	cases := []struct {
		mods []data.Modality
		want string // id, modalities, text
	}{
		{only("image"), `a[image]"" c[image]""`},
		{only("sensor"), `b[sensor]"" c[sensor]""`},
		{only("image", "sensor"), `a[image]"" b[sensor]"" c[image sensor]""`},
		{only("text"), `c[text]"where?"`},
	}
	for _, c := range cases {
		got, err := s.Examples(t.Context(), s.Rows, c.mods, 2)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, ex := range got {
			var names []string
			for name := range ex.Inputs {
				names = append(names, name)
			}
			slices.Sort(names)
			told = append(told, fmt.Sprintf("%s%v%q", ex.ID, names, ex.Text))
		}
		if told := strings.Join(told, " "); told != c.want {
			t.Errorf("examples %s, want %s", told, c.want)
		}
	}
}

func TestAnonymous(t *testing.T) {
	s := made([]string{"image"}, cohort{"home", "s", "train", 3})
	s.Dir = folder(t, map[string]string{"0.png": "zero", "1.png": "one", "2.png": "two"})
	for i := range s.Rows {
		s.Rows[i].ID, s.Rows[i].Target = fmt.Sprintf("walking-%d", i), "walking"
		s.Rows[i].Files = map[string]string{"image": fmt.Sprintf("%d.png", i)}
	}
	first, err := s.Anonymous(t.Context(), s.Rows, nil)
	if err != nil {
		t.Fatal(err)
	}
	turned := slices.Clone(s.Rows)
	slices.Reverse(turned)
	second, err := s.Anonymous(t.Context(), turned, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range first {
		if want := fmt.Sprintf("p%06d", i+1); row.ID != want || row.Sequence() != "" || row.Split != "" {
			t.Errorf("row %+v, want id %s and nothing that tells where it is from", row, want)
		}
		if row.Files["image"] != second[i].Files["image"] {
			t.Errorf("row %d is %s or %s, depending on the rows' order", i, row.Files["image"], second[i].Files["image"])
		}
		if row.Target != "walking" || row.Domain != "home" {
			t.Errorf("row %+v lost target or domain", row)
		}
	}
}

func TestWithTarget(t *testing.T) {
	s := made([]string{"image"}, cohort{"a", "x", "train", 2})
	for i := range s.Rows {
		s.Rows[i].Target = "walking upright"
		s.Rows[i].Fields["posture"] = "upright"
	}
	s.Rows[0].Fields["height"] = "low"
	for _, name := range []string{"", "target"} {
		if got, err := s.WithTarget(name); err != nil || got.Rows[1].Target != "walking upright" {
			t.Errorf("target %q: %v", name, err)
		}
	}
	got, err := s.WithTarget("posture")
	if err != nil || got.Rows[0].Target != "upright" || got.Rows[1].Target != "upright" {
		t.Errorf("posture: error %v, rows %+v", err, got)
	}
	if s.Rows[0].Target != "walking upright" {
		t.Error("the set itself has another target")
	}
	_, err = s.WithTarget("height")
	if err == nil || !strings.Contains(err.Error(), `row 1 has no field "height" to generate; there are height, posture, sequence, target`) {
		t.Errorf("height, which a row lacks: %v", err)
	}
}
