package data

import (
	"math"
	"math/rand/v2"
)

// soundRate is the generated recordings' sample rate in Hz.
const soundRate = 8000

// listen is what the home's microphone hears during the event's middle second.
func (e *event) listen(rng *rand.Rand) *recording {
	h := e.home
	samples := make([]float64, int(soundSeconds*soundRate))
	level := between(rng, 0.35, 1)
	hard := 1 - 0.6*h.carpet
	switch e.sound {
	case "steps":
		cadence, at := e.who.cadence, (1-e.stride)/e.who.cadence
		if e.motion != "walking" { // someone else's
			cadence, at = between(rng, 1.5, 2.2), between(rng, 0, 0.4)
		}
		for ; at < soundFrom+soundSeconds; at += 1 / cadence {
			if at >= soundFrom-0.05 {
				step(samples, at-soundFrom, h.floorTone*between(rng, 0.85, 1.15), 0.35*level*hard*e.who.vigour, rng)
			}
		}
	case "thud":
		at := between(rng, 0.1, 0.6)
		strength := between(rng, 0.4, 0.8)
		if e.motion == "falling" {
			at = e.end - soundFrom
			strength = min(0.25*e.speed, 1) * (0.05 / max(e.softness, 0.05))
		}
		thud(samples, at, between(rng, 55, 110), 0.9*strength*hard, rng)
	case "speech":
		pitch := e.who.pitch
		if e.motion == "falling" { // a cry
			pitch *= between(rng, 1.5, 2)
		} else if rng.IntN(3) == 0 { // a voice on television
			pitch = between(rng, 95, 220)
		}
		speak(samples, pitch, 0.3*level, rng)
	}
	reverberate(samples, h.echoDelay, h.echo)
	h.surround(samples, rng)
	return &recording{rate: soundRate, samples: samples}
}

// surround adds mains hum, hiss, and now and then a small clatter, and sets the gain.
func (h *home) surround(samples []float64, rng *rand.Rand) {
	hum := newTone(h.hum, between(rng, 0, 2*math.Pi))
	third := newTone(3*h.hum, between(rng, 0, 2*math.Pi))
	slow := 0.0
	if rng.IntN(6) == 0 {
		step(samples, between(rng, 0, 0.9), between(rng, 900, 2500), 0.06, rng)
	}
	for i := range samples {
		white := rng.Float64() - 0.5
		slow += 0.15 * (white - slow)
		samples[i] += h.humLevel*(hum.next()+0.4*third.next()) + h.hiss*(0.5*white+3*slow)
		samples[i] *= h.loudness
	}
}

// step is a heel on the floor: a short burst of noise through the floor's resonance.
func step(samples []float64, at, tone, level float64, rng *rand.Rand) {
	floor := newResonator(tone, 0.025)
	for i := range samples {
		t := float64(i)/soundRate - at
		if t < 0 || t > 0.2 {
			continue
		}
		samples[i] += level * floor.next(decay(t, 0.008)*(rng.Float64()-0.5))
	}
}

// thud is a heavy body on the floor: a low boom and a broad burst.
func thud(samples []float64, at, tone, level float64, rng *rand.Rand) {
	boom := newResonator(tone, 0.12)
	burst := newResonator(6*tone, 0.01)
	for i := range samples {
		t := float64(i)/soundRate - at
		if t < 0 {
			continue
		}
		noise := decay(t, 0.02) * (rng.Float64() - 0.5)
		push := 0.0
		if t < 0.012 {
			push = 1
		}
		samples[i] += level * (boom.next(0.25*push+0.3*noise) + 0.5*burst.next(noise))
	}
}

// speak is a voice-like sound: pulses at the voice's pitch through two formants that change with every syllable.
func speak(samples []float64, pitch, level float64, rng *rand.Rand) {
	start, stop := between(rng, 0, 0.3), between(rng, 0.75, 1.05)
	phase := 0.0
	for t := start; t < stop; {
		length := between(rng, 0.12, 0.25)
		first, second := newResonator(between(rng, 300, 800), 0.008), newResonator(between(rng, 900, 2200), 0.005)
		tune := pitch * between(rng, 0.9, 1.15)
		from, to := int(t*soundRate), min(int((t+length)*soundRate), len(samples))
		for i := from; i < to; i++ {
			s := float64(i-from) / (length * soundRate)
			phase += tune / soundRate
			pulse := 0.0
			if phase >= 1 {
				phase--
				pulse = 1
			}
			pulse += 0.02 * (rng.Float64() - 0.5)
			// Loud in the middle of the syllable.
			samples[i] += 4 * s * (1 - s) * level * 3 * (first.next(pulse) + 0.6*second.next(pulse))
		}
		t += length + between(rng, 0, 0.08)
	}
}

// reverberate feeds the sound back after a delay, as a bare room does.
func reverberate(samples []float64, delay int, strength float64) {
	for i := delay; i < len(samples); i++ {
		samples[i] += strength * samples[i-delay]
	}
}

// resonator rings at a frequency and dies away with a time constant in s; a burst of noise comes out about as loud as it
// went in.
type resonator struct {
	a, b, gain, y1, y2 float64
}

func newResonator(hertz, constant float64) *resonator {
	r := 1 - 1/(constant*soundRate)
	angle := 2 * math.Pi * hertz / soundRate
	return &resonator{a: 2 * r * math.Cos(angle), b: -r * r, gain: 2 * math.Sin(angle) * math.Sqrt(1-r*r)}
}

func (r *resonator) next(x float64) float64 {
	y := r.gain*x + r.a*r.y1 + r.b*r.y2
	r.y1, r.y2 = y, r.y1
	return y
}

// tone is a sine by recurrence.
type tone struct{ a, y1, y2 float64 }

func newTone(hertz, phase float64) *tone {
	angle := 2 * math.Pi * hertz / soundRate
	return &tone{a: 2 * math.Cos(angle), y1: math.Sin(phase - angle), y2: math.Sin(phase - 2*angle)}
}

func (t *tone) next() float64 {
	t.y1, t.y2 = t.a*t.y1-t.y2, t.y1
	return t.y1
}
