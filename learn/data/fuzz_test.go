package data

import (
	"math"
	"strings"
	"testing"
)

func FuzzDecodeWAV(f *testing.F) {
	f.Add(encodeWAV(&recording{rate: 8000, samples: []float64{0, 0.5, -1}}))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEdata\xff\xff\xff\xff"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVELIST\xff\xff\xff\xffINFO"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x03\x00\x01\x00\x40\x1f\x00\x00\x00\x00\x00\x00\x04\x00\x20\x00data\x08\x00\x00\x00\x00\x00\xc0\x7f\x00\x00\x00\x00"))
	m := Modality{Name: "audio", Kind: Audio, Rate: 8000, Seconds: 0.1}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeWAV(raw)
		if err != nil {
			return
		}
		if len(r.samples) == 0 || r.seconds() > maxSeconds+1 {
			t.Fatalf("%d samples, %g s", len(r.samples), r.seconds())
		}
		for _, v := range logMel(r.resample(8000), m) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("log power %g", v)
			}
		}
	})
}

func FuzzDecodeCSV(f *testing.F) {
	f.Add([]byte("t_ms,ax,ay\n0,1,2\n0,1,2\n20,2,3\n"))
	f.Add([]byte("\ufeffa;b\n1;2\n"))
	f.Add([]byte("\"a\nb\",c\n1e308,-1e-308\n0x1p4,_1\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		table, err := decodeCSV(raw)
		if err != nil {
			if head, _, _ := strings.Cut(err.Error(), ":"); head == "" || strings.Trim(head, "0123456789") != "" {
				t.Fatalf("error %q does not begin with a line number", err)
			}
			return
		}
		values, err := table.steps(table.names, "x.csv")
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("value %d is %g", i, v)
			}
		}
	})
}

func FuzzDecodeImage(f *testing.F) {
	h := newHome(1, random(1, 1, 0))
	e := newEvent(h, newPerson(random(1, 1, 1)), random(1, 1, 2))
	picture, err := e.photograph(random(1, 1, 3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(picture)
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Add([]byte("\xff\xd8\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := decodeImage(raw)
		if err != nil {
			return
		}
		for _, channels := range []int{1, 3} {
			for _, v := range p.planes(channels) {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("brightness %g", v)
				}
			}
		}
	})
}
