package node

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/model"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

const metadataFile = "metadata.jsonl"

// split names the rows wanted. Rows without a split are for training; nothing here learns from validation rows.
type split string

const (
	train      split = "train"
	validation split = "validation"
	test       split = "test"
)

func rowsOf(set *data.Set, s split) []data.Row {
	var rows []data.Row
	for _, r := range set.Rows {
		if r.Split == string(s) || r.Split == "" && s == train {
			rows = append(rows, r)
		}
	}
	return rows
}

// requireTargets refuses rows without a target.
func requireTargets(set *data.Set, rows []data.Row) error {
	for _, r := range rows {
		if r.Target == "" {
			return api.Advise(fmt.Errorf("%srow %s has no target", set.Place(r), r.ID), "give every row that a node learns from or is scored on the text to generate as \"target\"")
		}
	}
	return nil
}

// chooseModalities are those that a node uses, in the genesis's order: those asked for, or else all that own data and federation share.
func chooseModalities(asked []string, g *genesis, set *data.Set) ([]string, error) {
	all := modalityNames(g)
	for _, m := range asked {
		if !slices.Contains(all, m) {
			return nil, api.Advise(fmt.Errorf("modality %q is none of the federation's", m), "it has %s: change `modalities` in config.yaml", strings.Join(all, ", "))
		}
	}
	var use []string
	for _, m := range g.Data.Modalities {
		has := set.Kinds[m.Name] != ""
		if has && set.Kinds[m.Name] != m.Kind {
			return nil, fmt.Errorf("modality %q is %s in the federation and %s in %s", m.Name, m.Kind, set.Kinds[m.Name], set.Dir)
		}
		switch wanted := slices.Contains(asked, m.Name); {
		case wanted && !has:
			return nil, api.Advise(fmt.Errorf("the data in %s has no modality %q", set.Dir, m.Name),
				"it has %s: change `modalities` in config.yaml, or add the field %s to %s", strings.Join(set.Modalities(), ", "), field(m), metadataFile)
		case has && (wanted || len(asked) == 0):
			use = append(use, m.Name)
		}
	}
	if len(use) == 0 {
		return nil, api.Advise(fmt.Errorf("the data in %s and the federation have no modality in common", set.Dir),
			"the federation has %s, the data %s", strings.Join(all, ", "), strings.Join(set.Modalities(), ", "))
	}
	return use, nil
}

// field is the metadata field that gives a modality.
func field(m record.Modality) string {
	if m.Kind == data.Text {
		return m.Name
	}
	return m.Name + fileSuffix
}

// specs are the genesis's modalities with the given names, for decoding and for the model.
func (g *genesis) specs(names []string) (decode []data.Modality, shape []model.Modality) {
	for _, m := range g.Data.Modalities {
		if slices.Contains(names, m.Name) {
			decode = append(decode, dataModality(m))
			shape = append(shape, model.Modality{Name: m.Name, Kind: m.Kind, Shape: m.Shape})
		}
	}
	return decode, shape
}

// rowSet is all that a node learns from and is scored on, decoded.
type rowSet struct {
	modalities []string
	shapes     []model.Modality
	domain     string
	private    []data.Example // own training rows: empty on a super-peer
	test       []data.Example // own test rows
	public     []data.Example // the federation's; with targets for those who may know them
}

// loadRows reads the own data folder and data/public. A super-peer may have no own folder: then it has no scores.
func (h *Home) loadRows(ctx context.Context, cfg Config, g *genesis, role record.Role) (*rowSet, error) {
	rs := &rowSet{modalities: modalityNames(g), domain: cfg.Domain}
	var own *data.Set
	if dir := h.dataDir(cfg); dir != "" {
		var err error
		if own, err = data.Open(dir); err != nil {
			return nil, fmt.Errorf("open own data: %w", err)
		}
	} else if role == record.RoleEdge {
		return nil, errNoData(h)
	}
	if role == record.RoleEdge {
		var err error
		if rs.modalities, err = chooseModalities(cfg.Modalities, g, own); err != nil {
			return nil, err
		}
	}
	var decode []data.Modality
	decode, rs.shapes = g.specs(rs.modalities)
	public, err := data.Open(h.path(publicDir))
	if err != nil {
		return nil, fmt.Errorf("open public data: %w", err)
	}
	load := func(set *data.Set, s split, into *[]data.Example, targets bool) error {
		rows := rowsOf(set, s)
		if targets {
			if err := requireTargets(set, rows); err != nil {
				return err
			}
		}
		var err error
		*into, err = set.Examples(ctx, rows, decode, runtime.GOMAXPROCS(0))
		return err
	}
	if err := load(public, train, &rs.public, g.knowsTargets(role)); err != nil {
		return nil, fmt.Errorf("load public rows: %w", err)
	}
	if own == nil {
		return rs, nil
	}
	if rs.domain == "" {
		rs.domain = domains(own)
	}
	if err := load(own, test, &rs.test, true); err != nil {
		return nil, fmt.Errorf("load own test rows: %w", err)
	}
	if role == record.RoleEdge {
		if err := load(own, train, &rs.private, true); err != nil {
			return nil, fmt.Errorf("load own training rows: %w", err)
		}
		if len(rs.private) == 0 {
			return nil, api.Advise(fmt.Errorf("%s has no training rows with a modality in use", own.Dir), "mark rows with \"split\": \"train\"")
		}
	}
	return rs, nil
}

// domains joins the domains of a set's rows, a few at most.
func domains(set *data.Set) string {
	var names []string
	for _, r := range set.Rows {
		if r.Domain != "" && !slices.Contains(names, r.Domain) {
			names = append(names, r.Domain)
		}
	}
	slices.Sort(names)
	if len(names) > 4 {
		return fmt.Sprintf("%s+%d more", strings.Join(names[:3], "+"), len(names)-3)
	}
	return strings.Join(names, "+")
}

func errNoData(h *Home) error {
	return api.Advise(fmt.Errorf("home %s names no data: an edge learns from its own rows", h.Dir), "set `data` in %s, or start with --data DIR", h.path(configFile))
}
