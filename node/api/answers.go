package api

import (
	"context"
	"io"
)

// Answers are what a node's model makes of rows. The model is a copy of the learner's last stored state: asking does not change it.
// Requests are answered one at a time; a cancelled ctx ends one.
type Answers interface {
	// Eval scores the model's answers: ErrBadRequest for rows that cannot be scored.
	Eval(ctx context.Context, r EvalRequest) (*Evaluation, error)
	// Generate answers one row: ErrNotFound if there is no such row, ErrBadRequest if it has nothing that the node can use.
	Generate(ctx context.Context, r GenerateRequest) (*Answer, error)
}

// Rows are data set rows that come with a request, since the node may have no access to the client's files.
type Rows struct {
	Index []byte    // the rows as lines of a metadata.jsonl
	Files io.Reader // a tar of the files that they name
}

// EvalRequest says which rows to score.
type EvalRequest struct {
	Split string // train, validation or test; empty: test
	Rows  *Rows  // nil: the node's own
}

// GenerateRequest says which row to answer.
type GenerateRequest struct {
	Row    string // id; may be empty where Rows has just one
	Rows   *Rows  // nil: the node's own
	Strict bool   // a modality of the row that the node does not use is an error, not passed over
}

// CurrentModel tells which model answered.
type CurrentModel struct {
	Base       string   `json:"base"`
	Role       string   `json:"role"`
	Round      uint64   `json:"round"` // last round that is in it
	State      string   `json:"state"` // untrained, trained (own round, not yet aggregated), absorbed (the round's aggregate), adapted (and fitted to it)
	Modalities []string `json:"modalities"`
}

// Measure is means over rows.
type Measure struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F         float64 `json:"f"`
}

// TextScores compare answers with targets: means over rows. Rouge is without stemmer.
type TextScores struct {
	Rouge1     Measure `json:"rouge_1"`
	Rouge2     Measure `json:"rouge_2"`
	RougeL     Measure `json:"rouge_l"`
	RougeLsum  Measure `json:"rouge_lsum"`
	ExactMatch float64 `json:"exact_match"`
}

// Evaluation of a node's model on rows.
type Evaluation struct {
	Node           string       `json:"node"`
	Model          CurrentModel `json:"model"`
	Data           string       `json:"data"` // name of the data set
	Split          string       `json:"split"`
	ConstantAnswer string       `json:"constant_answer"` // the best constant answer on the rows that the node learns from
	RowsLeftOut    int          `json:"rows_left_out"`   // they have none of the node's modalities
	All            EvalGroup    `json:"all"`
	Subsets        []EvalGroup  `json:"subsets"` // by which of the node's modalities the rows have
	Attributes     []Attribute  `json:"attributes"`
}

// EvalGroup is the scores of some of the rows.
type EvalGroup struct {
	Name     string      `json:"name"` // of a subset its modalities, as image+sensor; of an attribute its value
	Rows     int         `json:"rows"`
	Scores   TextScores  `json:"scores"`
	Constant *TextScores `json:"constant"` // of the constant answer; null if the node's own rows are not there to choose it on
}

// Attribute is the scores by the values of a field that the rows have, such as posture.
type Attribute struct {
	Field  string      `json:"field"`
	Values []EvalGroup `json:"values"` // rows without the field are in none
}

// Answer to one row.
type Answer struct {
	Node      string       `json:"node"`
	Model     CurrentModel `json:"model"`
	Row       string       `json:"row"`
	Used      []string     `json:"used"`    // modalities
	Ignored   []string     `json:"ignored"` // modalities of the row that the node does not use
	Target    string       `json:"target"`  // empty if the row has none
	Answer    string       `json:"answer"`
	Untrained string       `json:"untrained"` // answer of the same model before it learned anything
}
