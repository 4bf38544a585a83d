package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
)

// question says what to answer.
type question struct {
	row, dir, text string
	pairs          []string           // MODALITY=FILE
	usual          map[string]*string // file by modality, for those that have a flag of their own
}

// usualModalities have a flag of their own beside --file.
var usualModalities = []string{"image", "audio", "sensor"}

func newGenerateCommand() *cobra.Command {
	q := &question{usual: map[string]*string{}}
	i := &inspection[*api.Answer]{ask: q.ask, show: showAnswer}
	cmd := i.command(&cobra.Command{
		Use: "generate", Short: "Let a node's model answer one row, or files",
		Long: `Lets the node's model, as it was last stored, answer one row of the node's own data or of another folder, or files given by modality;
and, to compare, the same model as it was before it learned anything. On a super-peer it is the large model and the small ones together.

The node may run (its training goes on) or be stopped.`,
		Example: "  mlecs generate --row home-1-s01-e1 --node edge-1\n  mlecs generate --row r7 --data ./other-rows\n  mlecs generate --image frame.png --audio room.wav\n  mlecs generate --file thermal=t.csv --json",
	})
	cmd.Flags().StringVar(&q.row, "row", "", "id of the row to answer")
	cmd.Flags().StringVar(&q.dir, "data", "", "data set folder of the row (default: the node's own)")
	for _, m := range usualModalities {
		q.usual[m] = cmd.Flags().String(m, "", "file of modality "+m+" to answer, as --file "+m+"=FILE")
	}
	cmd.Flags().StringArrayVar(&q.pairs, "file", nil, "MODALITY=FILE to answer: png, jpg, wav or csv; repeatable")
	cmd.Flags().StringVar(&q.text, "text", "", "text to answer, alone or with --file")
	ask := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, m := range usualModalities {
			if file := *q.usual[m]; file != "" {
				q.pairs = append(q.pairs, m+"="+file)
			}
		}
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
		return errors.New("name what to answer: --row ID, or --image, --audio, --sensor or --file MODALITY=FILE, or --text TEXT")
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
		"difference", difference(a.Untrained, a.Answer),
	)
}

// difference shows what learning changed, word by word: those that went as [-word-], those that came as {+word+}.
func difference(before, after string) string {
	a, b := strings.Fields(before), strings.Fields(after)
	if slices.Equal(a, b) {
		return "none: the untrained model says the same"
	}
	// common[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var words []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			words = append(words, a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			words = append(words, "[-"+a[i]+"-]")
			i++
		default:
			words = append(words, "{+"+b[j]+"+}")
			j++
		}
	}
	return quoted(strings.Join(words, " "))
}

// quoted shows an answer that is empty, begins or ends with a space, or has characters that do not print, as what it is.
func quoted(s string) string {
	if q := fmt.Sprintf("%q", s); s == "" || strings.TrimSpace(s) != s || q != `"`+s+`"` {
		return q
	}
	return s
}
