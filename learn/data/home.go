package data

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// home is one place of the generated data set: what happens there, and through what its sensors see it.
type home struct {
	number int
	name   string

	// How often things happen here, as weights.
	motions map[string]float64
	talk    float64 // how much more speech than elsewhere
	carpet  float64 // from 0, hard floor, to 1: how much of steps and impacts the floor swallows

	// Camera: height and distance in m, downward pitch in rad, and how depth becomes brightness.
	camera             vec
	pitch              float64
	gain, offset, warm float64 // warm: how much people stand out by brightness besides depth
	grain, dropout     float64
	boxes              []box
	bed                vec // centre of the mattress
	scene              scene

	// Accelerometer: how it sits on the wrist, sample rate in Hz, noise in g, range in g.
	worn      rotation
	looseness float64
	rate      float64
	noise     float64
	limit     float64

	// Sound: mains hum (frequency in Hz, amplitude), hiss, floor's tone in Hz, echo (delay in samples, strength), gain.
	hum, humLevel, hiss float64
	floorTone           float64
	echoDelay           int
	echo                float64
	loudness            float64
}

// between draws evenly from low to high.
func between(rng *rand.Rand, low, high float64) float64 { return low + (high-low)*rng.Float64() }

func newHome(number int, rng *rand.Rand) *home {
	h := &home{number: number, name: fmt.Sprintf("home-%d", number)}
	h.motions = make(map[string]float64)
	for _, m := range motionShares {
		// Squared, so that some homes know a motion hardly and others mostly.
		u := between(rng, 0.45, 1.55)
		h.motions[m.word] = m.share * u * u
	}
	h.talk = between(rng, 0.5, 1.8)
	h.carpet = between(rng, 0, 0.8)

	h.camera = vec{x: between(rng, -0.4, 0.4), y: between(rng, 1.1, 2.3)}
	h.pitch = math.Atan2(h.camera.y-0.8, roomMiddle)
	h.gain, h.offset = between(rng, 0.6, 1), between(rng, 0, 0.25)
	h.warm = between(rng, 0.25, 0.6)
	h.grain, h.dropout = between(rng, 0.02, 0.06), between(rng, 0, 0.03)
	h.furnish(rng)
	h.scene = h.background()

	h.worn = turn(between(rng, -math.Pi, math.Pi), between(rng, -0.8, 0.8), between(rng, -math.Pi, math.Pi))
	h.looseness = between(rng, 0.3, 0.7)
	h.rate = between(rng, 46, 54)
	h.noise = between(rng, 0.008, 0.035)
	h.limit = []float64{4, 6, 8}[rng.IntN(3)]

	h.hum = []float64{50, 60, 100, 120}[rng.IntN(4)]
	h.humLevel, h.hiss = between(rng, 0.002, 0.02), between(rng, 0.002, 0.01)
	h.floorTone = between(rng, 140, 520)
	h.echoDelay, h.echo = 150+rng.IntN(300), between(rng, 0.05, 0.4)
	h.loudness = between(rng, 0.6, 1.1)
	return h
}

// furnish puts a bed and two or three other pieces along the walls.
func (h *home) furnish(rng *rand.Rand) {
	side := 1.0
	if rng.IntN(2) == 0 {
		side = -1
	}
	h.bed = vec{x: side * between(rng, 0.9, 1.3), y: between(rng, 0.4, 0.6), z: roomMiddle + between(rng, 0.3, 0.9)}
	h.boxes = append(h.boxes, box{
		low:  vec{x: h.bed.x - 1, y: 0, z: h.bed.z - 0.45},
		high: vec{x: h.bed.x + 1, y: h.bed.y, z: h.bed.z + 0.45},
	})
	for range 2 + rng.IntN(2) {
		x, z := -side*between(rng, 0.5, 1.9), roomMiddle+between(rng, 0.9, 1.5)
		w, tall := between(rng, 0.2, 0.5), between(rng, 0.4, 1.9)
		h.boxes = append(h.boxes, box{low: vec{x: x - w, z: z - 0.25}, high: vec{x: x + w, y: tall, z: z + 0.25}})
	}
}

// person is who a sequence is about.
type person struct {
	size    float64 // of an adult of 1.75 m
	girth   float64
	cadence float64 // steps a second
	vigour  float64 // how hard the steps are
	pitch   float64 // of the voice, in Hz
}

func newPerson(rng *rand.Rand) person {
	return person{
		size:    between(rng, 0.9, 1.08),
		girth:   between(rng, 0.85, 1.25),
		cadence: between(rng, 1.5, 2.2),
		vigour:  between(rng, 0.55, 1.3),
		pitch:   between(rng, 95, 220),
	}
}
