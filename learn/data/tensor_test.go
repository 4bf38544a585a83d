package data_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
)

func TestImageTensor(t *testing.T) {
	grey := func(v uint8) string { return plain(color.Gray{Y: v}) }
	t.Run("grey pictures have one channel, standardised", func(t *testing.T) {
		s := open(t, map[string]string{
			"metadata.jsonl": lines(`{"image_file_name": "a.png"}`, `{"image_file_name": "b.png"}`), "a.png": grey(0), "b.png": grey(200)})
		m := onlyModality(t, s)
		if !slices.Equal(m.Shape, []int{1, 32, 32}) {
			t.Fatalf("shape %v", m.Shape)
		}
		for i, want := range []float32{-1, 1} {
			for _, v := range tensor(t, s, s.Rows[i], m) {
				if abs(v-want) > 1e-5 {
					t.Fatalf("row %d has %g, want %g", i, v, want)
				}
			}
		}
	})
	t.Run("one coloured picture makes three channels", func(t *testing.T) {
		s := open(t, map[string]string{
			"metadata.jsonl": lines(`{"image_file_name": "a.png"}`, `{"image_file_name": "b.png"}`), "a.png": grey(0), "b.png": plain(color.NRGBA{R: 255, A: 255})})
		m := onlyModality(t, s)
		x := tensor(t, s, s.Rows[1], m)
		if !slices.Equal(m.Shape, []int{3, 32, 32}) || len(x) != 3*32*32 {
			t.Fatalf("shape %v, %d values", m.Shape, len(x))
		}
		if x[0] != 1 || x[32*32] != 0 || x[2*32*32] != 0 {
			t.Errorf("red, green, blue are %g, %g, %g; want 1 and twice 0, since only red differs", x[0], x[32*32], x[2*32*32])
		}
	})
	t.Run("JPEG", func(t *testing.T) {
		img := image.NewGray(image.Rect(0, 0, 20, 10))
		for i := range img.Pix {
			img.Pix[i] = uint8(i)
		}
		var out bytes.Buffer
		if err := jpeg.Encode(&out, img, nil); err != nil {
			t.Fatal(err)
		}
		s := open(t, map[string]string{"metadata.jsonl": `{"image_file_name": "a.jpeg"}`, "a.jpeg": out.String()})
		if m := onlyModality(t, s); m.Shape[0] != 1 {
			t.Errorf("shape %v of a grey JPEG", m.Shape)
		}
	})
	t.Run("16 bits keep small differences", func(t *testing.T) {
		img := image.NewGray16(image.Rect(0, 0, 64, 64))
		for y := range 64 {
			for x := range 64 {
				img.SetGray16(x, y, color.Gray16{Y: uint16(1000 + 8*(x/32))}) // both are 3 of 255
			}
		}
		var out bytes.Buffer
		if err := png.Encode(&out, img); err != nil {
			t.Fatal(err)
		}
		s := open(t, map[string]string{"metadata.jsonl": `{"image_file_name": "a.png"}`, "a.png": out.String()})
		x := tensor(t, s, s.Rows[0], onlyModality(t, s))
		if left, right := x[4], x[27]; left > -0.9 || right < 0.9 {
			t.Errorf("left %g and right %g, want about -1 and 1", left, right)
		}
	})
	t.Run("thin lines survive shrinking", func(t *testing.T) {
		line := picture(320, 320, func(x, y int) color.Color { return color.Gray{Y: uint8(255 * (1 - min(1, max(x-155, 155-x))))} })
		s := open(t, map[string]string{"metadata.jsonl": `{"image_file_name": "a.png"}`, "a.png": line})
		if top := slices.Max(tensor(t, s, s.Rows[0], onlyModality(t, s))); top < 2 {
			t.Errorf("the brightest value is %g deviations above the mean", top)
		}
	})
}

func abs(v float32) float32 { return max(v, -v) }

func TestAudioTensor(t *testing.T) {
	set := func(t *testing.T, sounds ...string) *data.Set {
		files := make(map[string]string)
		for i, content := range sounds {
			name := fmt.Sprintf("%d.wav", i)
			files["metadata.jsonl"] += fmt.Sprintf("{\"audio_file_name\": %q}\n", name)
			files[name] = content
		}
		return open(t, files)
	}
	// band with the most power, by a modality that does not standardise.
	plainly := func(rate, seconds float64) data.Modality {
		m := data.Modality{Name: "audio", Kind: data.Audio, Shape: []int{1, 40, 32}, Rate: rate, Seconds: seconds}
		for range 40 {
			m.Mean, m.Std = append(m.Mean, 0), append(m.Std, 10)
		}
		return m
	}
	loudest := func(x []float32, frame int) int {
		best := 0
		for band := range 40 {
			if x[band*32+frame] > x[best*32+frame] {
				best = band
			}
		}
		return best
	}
	mel := func(hertz float64) float64 { return 2595 * math.Log10(1+hertz/700) }

	t.Run("shape, rate and length follow the rows", func(t *testing.T) {
		m := onlyModality(t, set(t, sound(t, 8000, 16, 1, sine(8000, 0.5, 440, 0.5)), sound(t, 44100, 16, 2, sine(44100, 1, 440, 0.5))))
		if !slices.Equal(m.Shape, []int{1, 40, 32}) || m.Rate != 8000 || m.Seconds != 0.5 {
			t.Errorf("shape %v, %g Hz, %g s", m.Shape, m.Rate, m.Seconds)
		}
		if m := onlyModality(t, set(t, sound(t, 48000, 16, 1, sine(48000, 12, 440, 0.5)))); m.Rate != 16000 || m.Seconds != 10 {
			t.Errorf("%g Hz, %g s; want the limits", m.Rate, m.Seconds)
		}
	})
	for _, bits := range []int{8, 16, 24, 32} {
		for _, rate := range []int{8000, 11025, 16000, 44100, 48000} {
			t.Run(fmt.Sprintf("a tone is in its band: %d bits, %d Hz", bits, rate), func(t *testing.T) {
				s := set(t, sound(t, rate, bits, 1+bits%3, sine(rate, 0.5, 1000, 0.5)))
				x := tensor(t, s, s.Rows[0], plainly(8000, 0.5))
				want := int(mel(1000)/mel(4000)*41+0.5) - 1
				if got := loudest(x, 16); got != want {
					t.Errorf("band %d, want %d", got, want)
				}
				// A sine of amplitude 0.5 has power 0.25 at its bin; its band is a few bins wide.
				if level := math.Exp(10 * float64(x[want*32+16])); level < 0.02 || level > 0.25 {
					t.Errorf("power %g", level)
				}
			})
		}
	}
	t.Run("resampling keeps what is above the new band out", func(t *testing.T) {
		s := set(t, sound(t, 44100, 16, 1, sine(44100, 0.5, 6000, 0.5)))
		for _, v := range tensor(t, s, s.Rows[0], plainly(8000, 0.5))[:] {
			if level := math.Exp(10 * float64(v)); level > 1e-5 {
				t.Fatalf("power %g of a tone of 6 kHz at 8 kHz", level)
			}
		}
	})
	t.Run("a long recording is cut to its loudest part", func(t *testing.T) {
		samples := append(make([]float64, 16000), append(sine(8000, 0.5, 1000, 0.5), make([]float64, 8000)...)...)
		s := set(t, sound(t, 8000, 16, 1, samples), sound(t, 8000, 16, 1, sine(8000, 0.5, 1000, 0.5)))
		m := plainly(8000, 0.5)
		a, b := tensor(t, s, s.Rows[0], m), tensor(t, s, s.Rows[1], m)
		for i := range a {
			if abs(a[i]-b[i]) > 0.05 {
				t.Fatalf("value %d is %g, want %g", i, a[i], b[i])
			}
		}
	})
	t.Run("a short recording is followed by silence", func(t *testing.T) {
		s := set(t, sound(t, 8000, 16, 1, sine(8000, 0.25, 1000, 0.5)))
		x := tensor(t, s, s.Rows[0], plainly(8000, 1))
		band := loudest(x, 2)
		if x[band*32+20] != float32(math.Log(1e-7)/10) || x[band*32+2] < -0.6 {
			t.Errorf("%g in the sound and %g after it", x[band*32+2], x[band*32+20])
		}
	})
	t.Run("standardised", func(t *testing.T) {
		s := set(t, sound(t, 8000, 16, 1, sine(8000, 0.5, 300, 0.5)), sound(t, 8000, 16, 1, sine(8000, 0.5, 2000, 0.1)))
		m := onlyModality(t, s)
		sum := 0.0
		for _, row := range s.Rows {
			for _, v := range tensor(t, s, row, m) {
				sum += float64(v)
			}
		}
		if math.Abs(sum) > 1e-2 {
			t.Errorf("the values sum to %g", sum)
		}
	})
	t.Run("streamed and extensible headers", func(t *testing.T) {
		whole := sound(t, 8000, 16, 1, sine(8000, 0.5, 1000, 0.5))
		at := strings.Index(whole, "data") + 4
		streamed := []byte(whole)
		binary.LittleEndian.PutUint32(streamed[at:], math.MaxUint32)
		pcm := whole[at+4:]
		extensible := "RIFF\x00\x00\x00\x00WAVEjunk\x03\x00\x00\x00abc\x00fmt \x28\x00\x00\x00" +
			"\xfe\xff\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00\x16\x00\x10\x00\x04\x00\x00\x00\x01\x00" + strings.Repeat("\x00", 14) +
			"data" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(pcm)))) + pcm
		s := set(t, whole, string(streamed), extensible)
		m := plainly(8000, 0.5)
		want := tensor(t, s, s.Rows[0], m)
		for i := 1; i <= 2; i++ {
			if got := tensor(t, s, s.Rows[i], m); !slices.Equal(got, want) {
				t.Errorf("row %d differs", i)
			}
		}
	})
}

func TestSeriesTensor(t *testing.T) {
	ramp := "\ufefft_ms,x, y\r\n0,0,5\r\n10,1,5\r\n40,4,5\r\n40,6,5\r\n100,11,5\r\n"
	set := func(t *testing.T, contents ...string) *data.Set {
		files := make(map[string]string)
		for i, content := range contents {
			name := fmt.Sprintf("%d.csv", i)
			files["metadata.jsonl"] += fmt.Sprintf("{\"sensor_file_name\": %q}\n", name)
			files[name] = content
		}
		return open(t, files)
	}
	plainly := func(channels ...string) data.Modality {
		m := data.Modality{Name: "sensor", Kind: data.Series, Shape: []int{2 * len(channels), 64}, Channels: channels}
		for range 2 * len(channels) {
			m.Mean, m.Std = append(m.Mean, 0), append(m.Std, 10)
		}
		return m
	}
	t.Run("columns and their distance from the row's mean", func(t *testing.T) {
		s := set(t, ramp)
		m := onlyModality(t, s)
		if !slices.Equal(m.Shape, []int{4, 64}) || !slices.Equal(m.Channels, []string{"x", "y"}) || m.Std[1] != 1 || m.Mean[1] != 5 {
			t.Fatalf("modality %+v", m)
		}
		x := tensor(t, s, s.Rows[0], m)
		if len(x) != 4*64 || x[64] != 0 || x[3*64] != 0 {
			t.Errorf("the constant column is %g, its distance from the mean %g; want zeros", x[64], x[3*64])
		}
	})
	t.Run("linear in time, equal times averaged", func(t *testing.T) {
		// The two values at 40 ms mean 5, so that x is linear up to there, at 1/10 a ms, then at 1/10 again.
		s := set(t, "t_ms,x\n0,1\n10,2\n40,4\n40,6\n100,11\n")
		x := tensor(t, s, s.Rows[0], plainly("x"))
		for i := range 64 {
			if want := float32(1+10*float64(i)/63) / 10; abs(x[i]-want) > 1e-5 {
				t.Errorf("step %d is %g, want %g", i, x[i], want)
			}
			if want := abs(x[i] - 0.6); abs(x[64+i]-want) > 1e-5 {
				t.Errorf("step %d is %g from the mean, want %g", i, x[64+i], want)
			}
		}
	})
	t.Run("without time the rows are evenly spaced, and columns go by name", func(t *testing.T) {
		s := set(t, "a,b\n0,7\n1,7\n2,7\n", "b,extra,a\n7,3,0\n7,1,1\n7,2,2\n")
		m := plainly("a", "b")
		if a, b := tensor(t, s, s.Rows[0], m), tensor(t, s, s.Rows[1], m); !slices.Equal(a, b) || abs(a[63]-0.2) > 1e-6 {
			t.Errorf("%v\n%v", a, b)
		}
	})
	t.Run("long series are averaged, not picked from", func(t *testing.T) {
		var csv strings.Builder
		csv.WriteString("t,x\n")
		for i := range 6400 {
			fmt.Fprintf(&csv, "%d,%d\n", i, 100*(i%2))
		}
		s := set(t, csv.String())
		for i, v := range tensor(t, s, s.Rows[0], plainly("x"))[:64] {
			if abs(v-5) > 1e-3 {
				t.Errorf("step %d is %g, want the mean 5", i, v)
			}
		}
	})
	t.Run("far outliers are clipped", func(t *testing.T) {
		s := set(t, "t,x\n0,1\n1,3\n", "t,x\n0,1\n1,1e30\n")
		m, err := s.Fit(s.Rows[:1])
		if err != nil {
			t.Fatal(err)
		}
		if top := slices.Max(tensor(t, s, s.Rows[1], m[0])); top != 10 {
			t.Errorf("the highest value is %g, want 10", top)
		}
	})
}

func TestTextTensor(t *testing.T) {
	s := open(t, map[string]string{"metadata.jsonl": lines(`{"text": "The dog, the DOG!"}`, `{"text": "the dog the dog"}`, `{"text": "dog the dog the"}`, `{"text": "..."}`)})
	m := onlyModality(t, s)
	if !slices.Equal(m.Shape, []int{256}) {
		t.Fatalf("shape %v", m.Shape)
	}
	var x [4][]float32
	for i := range x {
		x[i] = tensor(t, s, s.Rows[i], m)
	}
	if !slices.Equal(x[0], x[1]) {
		t.Error("case and punctuation count")
	}
	if slices.Equal(x[1], x[2]) {
		t.Error("word order does not count")
	}
	square := 0.0
	for _, v := range x[0] {
		square += float64(v) * float64(v)
	}
	if math.Abs(square-1) > 1e-5 {
		t.Errorf("the vector's length squared is %g", square)
	}
	if slices.ContainsFunc(x[3], func(v float32) bool { return v != 0 }) {
		t.Error("text without words is not zero")
	}
}

func TestTensorOfAMissingModalityIsNil(t *testing.T) {
	s := open(t, map[string]string{"metadata.jsonl": lines(`{"text": "a"}`, `{"image_file_name": "a.png"}`), "a.png": plain(color.Black)})
	fitted, err := s.Fit(s.Rows)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range fitted { // image, text
		x, err := s.Tensor(s.Rows[i], m)
		if x != nil || err != nil {
			t.Errorf("modality %s of row %d: %v, %v", m.Name, i, x, err)
		}
	}
	if fitted, err := s.Fit(s.Rows[:1]); err != nil || len(fitted) != 1 || fitted[0].Name != "text" {
		t.Errorf("fitting the row with text only gives %+v, %v", fitted, err)
	}
	if _, err := s.Fit(nil); err == nil {
		t.Error("fitting no rows is no error")
	}
}

func TestTensorErrors(t *testing.T) {
	wide := []byte(plain(color.Black))
	binary.BigEndian.PutUint32(wide[16:], 1<<20)
	binary.BigEndian.PutUint32(wide[20:], 1<<20)
	binary.BigEndian.PutUint32(wide[29:], crc32.ChecksumIEEE(wide[12:29]))
	good := sound(t, 8000, 16, 1, sine(8000, 0.1, 440, 0.5))
	with := func(at int, b ...byte) string {
		out := []byte(good)
		copy(out[at:], b)
		return string(out)
	}
	cases := []struct{ name, file, content, want string }{
		{"no image", "a.png", "hello", "metadata.jsonl:2: a.png: not a PNG or JPEG image"},
		{"huge picture", "a.png", string(wide), "a.png: png image of 1048576 x 1048576 pixels: the limit is 32 million pixels"},
		{"damaged picture", "a.png", plain(color.Black)[:60], "a.png: damaged png image"},
		{"no sound", "a.wav", "hello", "metadata.jsonl:2: a.wav: not a RIFF WAVE file"},
		{"no samples", "a.wav", good[:36], "a.wav: no samples"},
		{"header only", "a.wav", good[:12], "a.wav: no samples"},
		{"cut short", "a.wav", good[:100], "a.wav: the file is cut short: 56 of 1600 bytes of samples"},
		{"compressed", "a.wav", with(20, 85), "a.wav: compressed sound (format code 85)"},
		{"odd width", "a.wav", with(34, 12), "a.wav: 12 bits a sample"},
		{"no tracks", "a.wav", with(22, 0), "a.wav: 0 tracks"},
		{"rate", "a.wav", with(24, 1, 0), "a.wav: 1 samples a second"},
		{"no header", "a.csv", "\n", "metadata.jsonl:2: a.csv:1: no header"},
		{"no names", "a.csv", "1,2\n3,4\n", "a.csv:1: the first line must name the columns, but column 1 is \"1\""},
		{"empty name", "a.csv", "t,\n3,4\n", "a.csv:1: column 2 has no name"},
		{"twice the same name", "a.csv", "x,x\n3,4\n", "a.csv:1: two columns are named \"x\""},
		{"time alone", "a.csv", "t\n3\n", "a.csv:1: no column besides the time"},
		{"no number", "a.csv", "t,x\n0,1\n1,high\n", `a.csv:3: column "x": "high" is not a finite number`},
		{"NaN", "a.csv", "t,x\n0,1\n1,NaN\n", `a.csv:3: column "x": "NaN" is not a finite number`},
		{"infinite", "a.csv", "t,x\n0,1\n1,1e999\n", `a.csv:3: column "x"`},
		{"empty cell", "a.csv", "t,x\n0,1\n1,\n", `a.csv:3: column "x": "" is not a finite number`},
		{"too few cells", "a.csv", "t,x\n0,1\n1\n", "a.csv:3: not as many cells as the header has"},
		{"quote", "a.csv", "t,x\n0,\"1\n", "a.csv:2: extraneous or missing"},
		{"time goes back", "a.csv", "t,x\n0,1\n2,1\n1,1\n", `a.csv:4: column "t": time goes back from 2 to 1`},
		{"one row", "a.csv", "t,x\n0,1\n", "a.csv:2: a series needs at least two rows at different times"},
		{"time stands", "a.csv", "t,x\n0,1\n0,1\n", "at least two rows at different times"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"metadata.jsonl": fmt.Sprintf("\n{\"m_file_name\": %q}", c.file), c.file: c.content})
			s, err := data.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Fit(s.Rows); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Fit: error %v, want %q in it", err, c.want)
			}
			if _, err := data.Inspect(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Inspect: error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestTensorAsksForTheFittedColumns(t *testing.T) {
	s := open(t, map[string]string{
		"metadata.jsonl": lines(`{"s_file_name": "a.csv"}`, `{"s_file_name": "b.csv"}`), "a.csv": "t,x,y\n0,1,1\n1,2,2\n", "b.csv": "t,x\n0,1\n1,2\n"})
	m, err := s.Fit(s.Rows[:1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tensor(s.Rows[1], m[0]); err == nil || !strings.Contains(err.Error(), `b.csv:1: no column "y"`) {
		t.Errorf("error %v", err)
	}
}

func TestModalityValidate(t *testing.T) {
	image := func() data.Modality {
		return data.Modality{Name: "m", Kind: data.Image, Shape: []int{1, 32, 32}, Mean: []float64{0}, Std: []float64{1}}
	}
	audio := func() data.Modality {
		return data.Modality{Name: "m", Kind: data.Audio, Shape: []int{1, 40, 32}, Mean: make([]float64, 40), Std: slices.Repeat([]float64{1}, 40), Rate: 8000, Seconds: 1}
	}
	if err := image().Validate(); err != nil {
		t.Fatal(err)
	}
	if err := audio().Validate(); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		m     data.Modality
		spoil func(m *data.Modality)
	}{
		{"kind", image(), func(m *data.Modality) { m.Kind = "video" }},
		{"no shape", image(), func(m *data.Modality) { m.Shape = nil }},
		{"two channels", image(), func(m *data.Modality) { m.Shape[0] = 2 }},
		{"negative channels", image(), func(m *data.Modality) { m.Shape[0] = -1 }},
		{"another size", image(), func(m *data.Modality) { m.Shape[2] = 1 << 30 }},
		{"no means", image(), func(m *data.Modality) { m.Mean = nil }},
		{"deviation 0", image(), func(m *data.Modality) { m.Std[0] = 0 }},
		{"mean NaN", image(), func(m *data.Modality) { m.Mean[0] = math.NaN() }},
		{"rate", audio(), func(m *data.Modality) { m.Rate = 1e9 }},
		{"rate NaN", audio(), func(m *data.Modality) { m.Rate = math.NaN() }},
		{"fractional rate", audio(), func(m *data.Modality) { m.Rate = 8000.5 }},
		{"seconds", audio(), func(m *data.Modality) { m.Seconds = math.Inf(1) }},
		{"series without columns", data.Modality{Kind: data.Series, Shape: []int{0, 64}}, func(*data.Modality) {}},
		{"text", data.Modality{Kind: data.Text, Shape: []int{8}}, func(*data.Modality) {}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.spoil(&c.m)
			if err := c.m.Validate(); err == nil {
				t.Errorf("%+v is valid", c.m)
			}
			s := open(t, map[string]string{"metadata.jsonl": `{"m_file_name": "a.png"}`, "a.png": plain(color.Black)})
			c.m.Name = "m"
			if _, err := s.Tensor(s.Rows[0], c.m); err == nil {
				t.Errorf("it makes a tensor")
			}
		})
	}
}
