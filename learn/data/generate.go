package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Defaults and limits of Generate.
const (
	DefaultHomes       = 4
	DefaultRowsPerHome = 120

	maxHomes       = 100
	minRowsPerHome = 8
	maxRowsPerHome = 10_000
)

// eventsPerSequence is how many events of one person follow each other in a recording, if there are rows enough for
// eight recordings.
const eventsPerSequence = 5

// generatorVersion changes whenever equal options give other bytes.
const generatorVersion = 1

// GenerateOptions of Generate. Zero counts take the defaults.
type GenerateOptions struct {
	Homes       int // up to 100
	RowsPerHome int // 8 to 10,000
	Seed        uint64
	Progress    func(done, total int) // may be nil; called after every row
}

// Generate writes the built-in generated data set to dir, which must not hold a data set yet.
//
// It simulates people who move and fall in several homes. A row is one event of two seconds, seen by three modalities:
// "sensor", an accelerometer on the wrist (CSV: t_ms, ax, ay, az in g at about 50 Hz); "image", a depth camera's picture
// (PNG, 48 x 48, grey) at the end of the event; "audio", a microphone (WAV, 8 kHz) during its middle second. The target is
// three words, "<motion> <posture> <sound>":
//
//	motion   still, walking, shifting (from one posture to another), falling    told by the sensor
//	posture  upright, sitting, bending, lying                                   told by the image
//	sound    quiet, steps, thud, speech                                         told by the audio
//
// No modality knows all three, but what happened links them (who falls mostly ends up lying, with a thud), so each says
// something about the others' words. Homes are domains, and differ in what happens there, camera, furniture, floor,
// microphone, and how the sensor is worn. One in four sequences (recordings of one person) of a home is test data. The words are also
// fields of their own.
//
// Equal options give equal bytes.
func Generate(dir string, opt GenerateOptions) error {
	if opt.Homes == 0 {
		opt.Homes = DefaultHomes
	}
	if opt.RowsPerHome == 0 {
		opt.RowsPerHome = DefaultRowsPerHome
	}
	if opt.Homes < 1 || opt.Homes > maxHomes {
		return fmt.Errorf("generating data set: %d homes is not within 1 to %d", opt.Homes, maxHomes)
	}
	if opt.RowsPerHome < minRowsPerHome || opt.RowsPerHome > maxRowsPerHome {
		return fmt.Errorf("generating data set: %d rows a home is not within %d to %d", opt.RowsPerHome, minRowsPerHome, maxRowsPerHome)
	}
	if err := generate(dir, opt); err != nil {
		return fmt.Errorf("generating data set in %s: %w", dir, err)
	}
	return nil
}

func generate(dir string, opt GenerateOptions) error {
	if err := create(dir); err != nil {
		return err
	}
	for _, folder := range []string{"sensor", "image", "audio"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	about, err := json.MarshalIndent(map[string]any{
		"name": "generated homes", "generated": true, "seed": opt.Seed, "homes": opt.Homes, "rows_per_home": opt.RowsPerHome,
		"generator": "mlecs homes", "version": generatorVersion,
	}, "", "  ")
	if err != nil {
		return err
	}
	var rows []Row
	for number := range opt.Homes {
		h := newHome(number+1, random(opt.Seed, uint64(number+1), 0))
		for _, plan := range h.plan(opt) {
			row, err := plan.record(dir)
			if err != nil {
				return err
			}
			rows = append(rows, row)
			if opt.Progress != nil {
				opt.Progress(len(rows), opt.Homes*opt.RowsPerHome)
			}
		}
	}
	var index bytes.Buffer
	if err := EncodeRows(&index, rows, nil); err != nil {
		return err
	}
	return finish(dir, append(about, '\n'), index.Bytes())
}

// random is the stream of one home (row 0) or one of its rows, so that a row's bytes do not depend on other rows.
func random(seed, home, row uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, home<<32|row))
}

// plan is one row to be made.
type plan struct {
	home     *home
	who      person
	id       string
	sequence string
	split    string
	rng      *rand.Rand
}

// plan lays out a home's rows: sequences of events, a quarter of them for testing.
func (h *home) plan(opt GenerateOptions) []plan {
	length := min(max(opt.RowsPerHome/8, 1), eventsPerSequence)
	sequences := (opt.RowsPerHome + length - 1) / length
	testing := make([]bool, sequences)
	rng := random(opt.Seed, uint64(h.number), 1<<31)
	for _, i := range rng.Perm(sequences)[:max(1, (sequences+2)/4)] {
		testing[i] = true
	}
	var plans []plan
	var who person
	for i := range opt.RowsPerHome {
		s := i / length
		if i%length == 0 {
			who = newPerson(rng)
		}
		p := plan{home: h, who: who, split: "train", rng: random(opt.Seed, uint64(h.number), uint64(i+1))}
		if testing[s] {
			p.split = "test"
		}
		p.sequence = fmt.Sprintf("%s-s%02d", h.name, s+1)
		p.id = fmt.Sprintf("%s-e%d", p.sequence, i%length+1)
		plans = append(plans, p)
	}
	return plans
}

// record simulates the event and writes what the three sensors make of it.
func (p plan) record(dir string) (Row, error) {
	e := newEvent(p.home, p.who, p.rng)
	picture, err := e.photograph(p.rng)
	if err != nil {
		return Row{}, err
	}
	row := Row{
		ID: p.id, Domain: p.home.name, Split: p.split, Files: make(map[string]string),
		Target: e.motion + " " + e.posture + " " + e.sound,
		Fields: map[string]any{"sequence": p.sequence, "motion": e.motion, "posture": e.posture, "sound": e.sound},
	}
	for _, file := range []struct {
		modality, extension string
		content             []byte
	}{
		{"sensor", ".csv", e.accelerations(p.rng)},
		{"image", ".png", picture},
		{"audio", ".wav", encodeWAV(e.listen(p.rng))},
	} {
		name := file.modality + "/" + p.id + file.extension
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), file.content, 0o644); err != nil {
			return Row{}, err
		}
		row.Files[file.modality] = name
	}
	return row, nil
}
