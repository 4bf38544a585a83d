// Package data reads data set folders (metadata.jsonl and media files), turns media into tensors, and generates the built-in data set.
package data

import "io"

// Kinds of modality, told by file extension: .png .jpg .jpeg image, .wav audio, .csv series; the field "text" is text.
const (
	Image  = "image"
	Audio  = "audio"
	Series = "series"
	Text   = "text"
)

// Row is one line of metadata.jsonl.
type Row struct {
	ID     string
	Files  map[string]string // modality -> path relative to the folder
	Text   string
	Target string
	Domain string
	Split  string         // "train", "test" or ""
	Fields map[string]any // everything else, e.g. "sequence"
	Line   int
}

// Modality tells how one modality becomes a tensor (statistics from the training rows it was made from).
type Modality struct {
	Name     string
	Kind     string
	Shape    []int
	Channels []string
	Mean     []float64
	Std      []float64
	Rate     float64
	Seconds  float64
}

// Set is an opened folder.
type Set struct {
	Dir       string
	Name      string
	Generated bool // dataset.json says so
	Rows      []Row
	Kinds     map[string]string // modality -> kind
}

// Open reads and checks every row of dir/metadata.jsonl (limits on line length and count); errors name file:line and field.
// Paths outside dir, unknown file types and files that are missing are errors.
func Open(dir string) (*Set, error) { panic("stub") }

// Modalities in name order.
func (s *Set) Modalities() []string { panic("stub") }

// Subset has the same folder with other rows.
func (s *Set) Subset(rows []Row) *Set { panic("stub") }

// Write copies (hard-links where possible) rows and their files into dir as a data set folder; keep names the modalities kept (nil = all).
func (s *Set) Write(dir string, rows []Row, keep []string) error { panic("stub") }

// Fit chooses shapes and statistics of every modality from rows (training rows only).
func (s *Set) Fit(rows []Row) ([]Modality, error) { panic("stub") }

// Tensor decodes one modality of one row to m.Shape, standardised, flat; nil if the row lacks it.
func (s *Set) Tensor(row Row, m Modality) ([]float32, error) { panic("stub") }

// GenerateOptions of Generate.
type GenerateOptions struct {
	Homes, RowsPerHome int
	Seed               uint64
	Progress           func(done, total int)
}

// Generate writes the built-in generated data set (people moving and falling in homes) to dir.
func Generate(dir string, opt GenerateOptions) error { panic("stub") }

// Report is what `mlecs data inspect` prints.
type Report struct {
	Path       string                    `json:"path"`
	Generated  bool                      `json:"generated"`
	Rows       int                       `json:"rows"`
	Splits     map[string]int            `json:"splits"`
	Domains    map[string]map[string]int `json:"domains"` // domain -> split -> rows
	Modalities map[string]ModalityReport `json:"modalities"`
	Targets    TargetReport              `json:"targets"`
}

// ModalityReport counts one modality.
type ModalityReport struct {
	Kind    string `json:"kind"`
	Rows    int    `json:"rows"`
	Missing int    `json:"missing"`
	Bytes   int64  `json:"bytes"`
}

// TargetReport describes the targets (lengths in words).
type TargetReport struct {
	Distinct  int     `json:"distinct"`
	Missing   int     `json:"missing"`
	MinWords  int     `json:"min_words"`
	MeanWords float64 `json:"mean_words"`
	MaxWords  int     `json:"max_words"`
}

// Inspect opens dir, decodes every file, and counts.
func Inspect(dir string) (*Report, error) { panic("stub") }

// Partition is how a testnet or an experiment divides a data set.
type Partition struct {
	Public []Row // held out for the super-peers, from the training rows
	Test   []Row // the super-peers' test rows: all test rows
	Edges  []Share
}

// Share is one edge's part.
type Share struct {
	Domain      string // names joined with "+"
	Train, Test []Row
	Modalities  []string // seeded subset; with two edges or more at least two differ
}

// PartitionOptions of Split.
type PartitionOptions struct {
	Edges          int
	PublicFraction float64 // of the training rows
	Modalities     []string
	Seed           uint64
}

// Split partitions by domain (domains are grouped or, with fewer domains than edges, divided by sequence); every edge has train and test rows.
func (s *Set) Split(opt PartitionOptions) (*Partition, error) { panic("stub") }

// Archive writes a deterministic tar of the rows' files of one modality; Extract is its inverse with limits and no path escapes.
func (s *Set) Archive(w io.Writer, rows []Row, modality string) error { panic("stub") }
func Extract(r io.Reader, dir string, limit int64) error              { panic("stub") }
