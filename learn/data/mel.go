package data

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"

	"gonum.org/v1/gonum/dsp/fourier"
)

// Size of a log-mel picture, and bounds of what Fit chooses.
const (
	melBands      = 40
	melFrames     = 32
	maxFitRate    = 16_000 // Hz
	maxFitSeconds = 10
)

// The short-time transform: Hann windows of 25 ms, at most 12.5 ms apart, on at least 512 points so that the lowest mel
// bands hold a bin each. Where a frame is longer than the step, several windows are averaged, so nothing falls between.
const (
	windowSeconds = 0.025
	stepSeconds   = 0.0125
	minFFT        = 512
)

// powerFloor keeps silence (and padding) near the level of a quiet room instead of at minus infinity, or else the
// difference between silence and near-silence would take most of a band's range.
const powerFloor = 1e-7

// logMel is the recording's natural-log mel power, band by band, 32 frames each. A longer recording is cut to the
// m.Seconds with the most energy; a shorter one is followed by silence.
func logMel(r *recording, m Modality) []float64 {
	samples := loudest(r.samples, int(math.Round(m.Seconds*m.Rate)))
	f := filtersFor(r.rate)
	perFrame := max(1, int(math.Ceil(m.Seconds/melFrames/stepSeconds)))
	step := m.Seconds * m.Rate / float64(melFrames*perFrame)

	out := make([]float64, melBands*melFrames)
	buffer := make([]float64, f.size)
	spectrum := make([]complex128, f.size/2+1)
	fft := fourier.NewFFT(f.size)
	var power [melBands]float64
	for frame := range melFrames {
		clear(power[:])
		for k := range perFrame {
			centre := int((float64(frame*perFrame+k) + 0.5) * step)
			clear(buffer)
			for i, w := range f.window {
				if at := centre - len(f.window)/2 + i; at >= 0 && at < len(samples) {
					buffer[i] = w * samples[at]
				}
			}
			fft.Coefficients(spectrum, buffer)
			f.add(&power, spectrum)
		}
		for band, p := range power {
			out[band*melFrames+frame] = math.Log(p/float64(perFrame) + powerFloor)
		}
	}
	return out
}

// loudest is the n samples in a row with the most energy, or all of them if there are no more.
func loudest(samples []float64, n int) []float64 {
	if len(samples) <= n {
		return samples
	}
	energy := 0.0
	for _, v := range samples[:n] {
		energy += v * v
	}
	best, start := energy, 0
	for i := n; i < len(samples); i++ {
		energy += samples[i]*samples[i] - samples[i-n]*samples[i-n]
		if energy > best {
			best, start = energy, i-n+1
		}
	}
	return samples[start : start+n]
}

// filters are the window and the mel bands of one sample rate.
type filters struct {
	size   int // of the FFT
	window []float64
	bands  [melBands]band
}

// band is a triangle over spectrum bins.
type band struct {
	from    int
	weights []float64
}

// add adds each band's share of the spectrum's power.
func (f *filters) add(power *[melBands]float64, spectrum []complex128) {
	for i, b := range f.bands {
		for k, w := range b.weights {
			c := spectrum[b.from+k]
			power[i] += w * (real(c)*real(c) + imag(c)*imag(c))
		}
	}
}

var filterCache sync.Map // rate -> *filters

func filtersFor(rate int) *filters {
	if f, ok := filterCache.Load(rate); ok {
		return f.(*filters)
	}
	f, _ := filterCache.LoadOrStore(rate, newFilters(rate))
	return f.(*filters)
}

// newFilters lays 40 triangles evenly on the HTK mel scale, 2595 log10(1 + f/700), from 0 Hz to half the rate. Each sums
// to one over its bins: it tells the mean power of its band. The window is scaled so that a full-scale sine has power
// 1 at its bin.
func newFilters(rate int) *filters {
	n := max(2, int(math.Round(windowSeconds*float64(rate))))
	f := &filters{size: minFFT, window: make([]float64, n)}
	for f.size < 2*n {
		f.size *= 2
	}
	sum := 0.0
	for i := range f.window {
		f.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(n))
		sum += f.window[i]
	}
	for i := range f.window {
		f.window[i] *= 2 / sum
	}

	mel := func(hertz float64) float64 { return 2595 * math.Log10(1+hertz/700) }
	top := mel(float64(rate) / 2)
	edge := func(i int) float64 { return 700 * (math.Pow(10, top*float64(i)/(melBands+1)/2595) - 1) }
	perBin := float64(rate) / float64(f.size)
	for i := range f.bands {
		low, middle, high := edge(i), edge(i+1), edge(i+2)
		from := int(math.Ceil(low / perBin))
		b := band{from: from}
		total := 0.0
		for k := from; float64(k)*perBin < high && k <= f.size/2; k++ {
			hertz := float64(k) * perBin
			w := min((hertz-low)/(middle-low), (high-hertz)/(high-middle))
			b.weights = append(b.weights, w)
			total += w
		}
		if total == 0 { // a triangle between two bins takes the nearer one
			b = band{from: min(int(math.Round(middle/perBin)), f.size/2), weights: []float64{1}}
			total = 1
		}
		for k := range b.weights {
			b.weights[k] /= total
		}
		f.bands[i] = b
	}
	return f
}

// resample brings the recording to another rate with a Hann-windowed sinc of 16 zero crossings to either side, cut off
// at the lower of the two Nyquist frequencies. The phases repeat after rate/gcd outputs, so each is computed once.
func (r *recording) resample(rate int) *recording {
	if rate == r.rate {
		return r
	}
	const crossings = 16
	divisor := gcd(rate, r.rate)
	phases, advance := rate/divisor, r.rate/divisor
	cutoff := min(1, float64(rate)/float64(r.rate))
	reach := int(math.Ceil(crossings / cutoff))
	out := &recording{rate: rate, samples: make([]float64, (len(r.samples)*phases+advance-1)/advance)}
	taps := make([]float64, 2*reach+1)
	for phase := range min(phases, len(out.samples)) {
		offset := float64(phase*advance%phases) / float64(phases)
		sum := 0.0
		for k := range taps {
			x := (float64(k-reach) - offset) * cutoff
			taps[k] = sinc(x) * hann(x/crossings)
			sum += taps[k]
		}
		for i := phase; i < len(out.samples); i += phases {
			centre := i * advance / phases
			v := 0.0
			for k, tap := range taps {
				if at := centre + k - reach; at >= 0 && at < len(r.samples) {
					v += tap * r.samples[at]
				}
			}
			out.samples[i] = v / sum
		}
	}
	return out
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// hann is the window over [-1, 1].
func hann(x float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return 0.5 + 0.5*math.Cos(math.Pi*x)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// shapeAudio takes the lowest rate of the rows, at most 16 kHz, and the length that 90 % of them do not exceed, at most
// 10 s.
func (s *Set) shapeAudio(m *Modality, rows []Row) error {
	rate := maxFitRate
	var lengths []float64
	for _, row := range rows {
		file := row.Files[m.Name]
		raw, err := s.read(file)
		if err != nil {
			return fmt.Errorf("%s: %w", row.where(), err)
		}
		r, err := decodeWAV(raw)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", row.where(), file, err)
		}
		rate = min(rate, r.rate)
		lengths = append(lengths, r.seconds())
	}
	slices.SortFunc(lengths, cmp.Compare[float64])
	m.Shape = []int{1, melBands, melFrames}
	m.Rate = float64(rate)
	m.Seconds = min(max(lengths[(len(lengths)-1)*9/10], 2*windowSeconds), maxFitSeconds)
	return nil
}
