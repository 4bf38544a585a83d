package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Limits of one recording.
const (
	minRate        = 1000
	maxRate        = 384_000
	maxAudioTracks = 16
	maxSeconds     = 600
)

// recording is mono sound in [-1, 1].
type recording struct {
	rate    int // Hz
	samples []float64
}

func (r *recording) seconds() float64 { return float64(len(r.samples)) / float64(r.rate) }

// format is what a WAV file's "fmt " chunk says.
type format struct {
	tracks, rate, bits int
	float              bool
}

// Codes of the "fmt " chunk. In an extensible file the code proper begins a GUID further on.
const (
	codePCM        = 1
	codeFloat      = 3
	codeExtensible = 0xfffe
)

// decodeWAV reads a RIFF WAVE file with 8-, 16-, 24- or 32-bit PCM or 32-bit float samples and mixes it down to mono.
//
// It is written here rather than taken from go-audio/wav, because that package allocates whatever size a chunk's header
// claims, and files of a data set come from strangers.
func decodeWAV(raw []byte) (*recording, error) {
	if len(raw) < 12 || string(raw[:4]) != "RIFF" || string(raw[8:12]) != "WAVE" {
		return nil, errors.New("not a RIFF WAVE file")
	}
	var f *format
	for rest := raw[12:]; len(rest) >= 8; {
		id, size := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:8]))
		rest = rest[8:]
		body := rest[:min(size, int64(len(rest)))]
		switch id {
		case "fmt ":
			var err error
			if f, err = decodeFormat(body); err != nil {
				return nil, err
			}
		case "data":
			if f == nil {
				return nil, errors.New("the samples come before their format")
			}
			// A program that writes to a pipe cannot know the size, and leaves the largest one or none.
			streamed := size == math.MaxUint32 || size == 0
			if streamed {
				body = rest
			} else if size > int64(len(rest)) {
				return nil, fmt.Errorf("the file is cut short: %d of %d bytes of samples", len(rest), size)
			}
			return f.decode(body)
		}
		// Chunks begin at even offsets.
		rest = rest[min(size+size%2, int64(len(rest))):]
	}
	return nil, errors.New("no samples")
}

func decodeFormat(body []byte) (*format, error) {
	if len(body) < 16 {
		return nil, errors.New("the format chunk is cut short")
	}
	code := binary.LittleEndian.Uint16(body)
	if code == codeExtensible && len(body) >= 26 {
		code = binary.LittleEndian.Uint16(body[24:])
	}
	f := &format{
		tracks: int(binary.LittleEndian.Uint16(body[2:])),
		rate:   int(binary.LittleEndian.Uint32(body[4:])),
		bits:   int(binary.LittleEndian.Uint16(body[14:])),
		float:  code == codeFloat,
	}
	switch {
	case code != codePCM && code != codeFloat:
		return nil, fmt.Errorf("compressed sound (format code %d); only PCM is read", code)
	case f.float && f.bits != 32, !f.float && f.bits != 8 && f.bits != 16 && f.bits != 24 && f.bits != 32:
		return nil, fmt.Errorf("%d bits a sample; PCM of 8, 16, 24 or 32 and float of 32 are read", f.bits)
	case f.rate < minRate || f.rate > maxRate:
		return nil, fmt.Errorf("%d samples a second is not within %d to %d", f.rate, minRate, maxRate)
	case f.tracks < 1 || f.tracks > maxAudioTracks:
		return nil, fmt.Errorf("%d tracks is not within 1 to %d", f.tracks, maxAudioTracks)
	}
	return f, nil
}

func (f *format) decode(body []byte) (*recording, error) {
	width := f.bits / 8
	n := len(body) / (width * f.tracks)
	if n == 0 {
		return nil, errors.New("no samples")
	}
	if n > maxSeconds*f.rate {
		return nil, fmt.Errorf("%d s of sound, more than the limit of %d s", n/f.rate, maxSeconds)
	}
	r := &recording{rate: f.rate, samples: make([]float64, n)}
	for i := range r.samples {
		sum := 0.0
		for range f.tracks {
			v := f.sample(body[:width])
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("sample %d is not a finite number", i)
			}
			sum += v
			body = body[width:]
		}
		r.samples[i] = min(max(sum/float64(f.tracks), -1), 1)
	}
	return r, nil
}

// sample reads one value; 8-bit ones are unsigned.
func (f *format) sample(b []byte) float64 {
	switch {
	case f.float:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case f.bits == 8:
		return (float64(b[0]) - 128) / (1 << 7)
	case f.bits == 16:
		return float64(int16(binary.LittleEndian.Uint16(b))) / (1 << 15)
	case f.bits == 24:
		return float64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)>>8) / (1 << 23)
	default:
		return float64(int32(binary.LittleEndian.Uint32(b))) / (1 << 31)
	}
}

// encodeWAV writes mono 16-bit PCM; values beyond [-1, 1] are clipped.
func encodeWAV(r *recording) []byte {
	size := 2 * len(r.samples)
	out := make([]byte, 0, 44+size)
	out = append(out, "RIFF"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(36+size))
	out = append(out, "WAVEfmt "...)
	out = binary.LittleEndian.AppendUint32(out, 16)
	out = binary.LittleEndian.AppendUint16(out, codePCM)
	out = binary.LittleEndian.AppendUint16(out, 1)
	out = binary.LittleEndian.AppendUint32(out, uint32(r.rate))
	out = binary.LittleEndian.AppendUint32(out, uint32(2*r.rate))
	out = binary.LittleEndian.AppendUint16(out, 2)
	out = binary.LittleEndian.AppendUint16(out, 16)
	out = append(out, "data"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(size))
	for _, v := range r.samples {
		out = binary.LittleEndian.AppendUint16(out, uint16(int16(math.Round(32767*min(max(v, -1), 1)))))
	}
	return out
}
