package data_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-audio/audio"
	"github.com/go-audio/wav"
	"github.com/mlecs/mlecs/learn/data"
)

// folder writes files into a new folder; the keys are paths.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, files map[string]string) *data.Set {
	t.Helper()
	s, err := data.Open(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shared opens one of the real data sets that are kept beside the project, or skips.
func shared(t testing.TB, name string) *data.Set {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "data", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the data set %s is not here: %v", name, err)
	}
	s, err := data.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// picture is a PNG with the colour that at gives each pixel.
func picture(width, height int, at func(x, y int) color.Color) string {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, at(x, y))
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err)
	}
	return out.String()
}

func plain(c color.Color) string {
	return picture(8, 8, func(int, int) color.Color { return c })
}

// sound encodes samples in [-1, 1], the same on every track, with an encoder that is not ours.
func sound(t testing.TB, rate, bits, tracks int, samples []float64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sound.wav")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	encoder := wav.NewEncoder(file, rate, bits, tracks, 1)
	buffer := &audio.IntBuffer{Format: &audio.Format{NumChannels: tracks, SampleRate: rate}, SourceBitDepth: bits}
	for _, v := range samples {
		n := int(math.Round(v * float64(int64(1)<<(bits-1)-1)))
		if bits == 8 {
			n += 128
		}
		for range tracks {
			buffer.Data = append(buffer.Data, n)
		}
	}
	if err := encoder.Write(buffer); err != nil {
		t.Fatal(err)
	}
	if err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// sine is seconds of a tone.
func sine(rate int, seconds, hertz, level float64) []float64 {
	out := make([]float64, int(seconds*float64(rate)))
	for i := range out {
		out[i] = level * math.Sin(2*math.Pi*hertz*float64(i)/float64(rate))
	}
	return out
}

func lines(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

// onlyModality fits all rows of the set and expects one modality.
func onlyModality(t testing.TB, s *data.Set) data.Modality {
	t.Helper()
	fitted, err := s.Fit(s.Rows)
	if err != nil {
		t.Fatal(err)
	}
	if len(fitted) != 1 {
		t.Fatalf("%d modalities, want one", len(fitted))
	}
	return fitted[0]
}

func tensor(t testing.TB, s *data.Set, row data.Row, m data.Modality) []float32 {
	t.Helper()
	x, err := s.Tensor(row, m)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
