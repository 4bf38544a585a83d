package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
)

// question says what to answer.
type question struct {
	row, dir, text string
	pairs          []string // MODALITY=FILE
}

func newGenerateCommand() *cobra.Command {
	q := &question{}
	i := &inspection[*api.Answer]{ask: q.ask, show: showAnswer}
	cmd := i.command(&cobra.Command{
		Use: "generate", Short: "Let a node's model answer one row, or files",
		Long: `Lets the node's model, as it was last stored, answer one row of the node's own data or of another folder, or files given by modality;
and, to compare, the same model as it was before it learned anything. On a super-peer it is the large model.

The node may run (its training goes on) or be stopped.`,
		Example: "  mlecs generate --row home-1-s01-e1 --node edge-1\n  mlecs generate --row r7 --data ./other-rows\n  mlecs generate --file image=frame.png --file audio=room.wav --json",
	})
	cmd.Flags().StringVar(&q.row, "row", "", "id of the row to answer")
	cmd.Flags().StringVar(&q.dir, "data", "", "data set folder of the row (default: the node's own)")
	cmd.Flags().StringArrayVar(&q.pairs, "file", nil, "MODALITY=FILE to answer: png, jpg, wav or csv; repeatable")
	cmd.Flags().StringVar(&q.text, "text", "", "text to answer, alone or with --file")
	ask := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := q.check(); err != nil {
			return usageError{err}
		}
		return ask(cmd, args)
	}
	return cmd
}

func (q *question) check() error {
	loose := len(q.pairs) > 0 || q.text != ""
	switch {
	case q.row == "" && !loose:
		return errors.New("name what to answer: --row ID, or --file MODALITY=FILE or --text TEXT")
	case q.row != "" && loose:
		return errors.New("--row excludes --file and --text")
	case q.dir != "" && loose:
		return errors.New("--data needs --row ID")
	}
	_, err := q.files()
	return err
}

// files are those of --file by modality.
func (q *question) files() (map[string]string, error) {
	files := map[string]string{}
	for _, pair := range q.pairs {
		modality, file, ok := strings.Cut(pair, "=")
		if !ok || modality == "" || file == "" {
			return nil, fmt.Errorf("--file %q is not MODALITY=FILE", pair)
		}
		if files[modality] != "" {
			return nil, fmt.Errorf("--file gives modality %q twice", modality)
		}
		files[modality] = file
	}
	return files, nil
}

func (q *question) ask(ctx context.Context, s api.Source) (*api.Answer, error) {
	r := api.GenerateRequest{Row: q.row}
	switch {
	case q.dir != "":
		rows, release, err := node.RowOf(q.dir, q.row)
		if err != nil {
			return nil, err
		}
		defer release.Close()
		r.Rows = rows
	case q.row == "":
		files, err := q.files()
		if err != nil {
			return nil, err
		}
		if r.Rows, err = node.RowOfFiles(files, q.text); err != nil {
			return nil, err
		}
		r.Strict = true
	}
	return s.Generate(ctx, r)
}

func showAnswer(p *page, a *api.Answer) {
	ignored := ""
	if len(a.Ignored) > 0 {
		ignored = strings.Join(a.Ignored, ", ") + " (not used by this node)"
	}
	p.fields(
		"node", a.Node,
		"model", modelText(a.Model),
		"row", a.Row,
		"uses", strings.Join(a.Used, ", "),
		"ignores", ignored,
		"target", a.Target,
		"answer", quoted(a.Answer),
		"untrained answer", quoted(a.Untrained),
	)
}

// quoted shows an answer that is empty, begins or ends with a space, or has characters that do not print, as what it is.
func quoted(s string) string {
	if q := fmt.Sprintf("%q", s); s == "" || strings.TrimSpace(s) != s || q != `"`+s+`"` {
		return q
	}
	return s
}
