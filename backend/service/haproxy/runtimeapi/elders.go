package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// purged are the maps by which an old worker could go on admitting: the grants, and the keys that it verifies with.
var purged = []desired.Map{desired.Grants, desired.KIDs}

// purgeRounds is how often a map is read again after rows were taken out of it.
const purgeRounds = 3

var (
	mapOfList = regexp.MustCompile(`\A-?[0-9]+ \(([^)]*)\) `)
	mapRow    = regexp.MustCompile(`\A(0x[0-9a-f]{1,16}) (.*)\z`)
)

// Purge takes every row that keep does not have, or has with another value, out of grants.map and kids.map of every older
// worker, and reads them again. keep must name both maps; an empty table is one that keeps nothing. It answers how many
// older workers there were. Without an error none of those that were listed after the call's beginning holds such a row
// any more; one that ended meanwhile is no error. Nothing is sent to the running worker.
//
// Rows are removed by their reference, so doubles and keys that could never be sent go as well.
func (c *Client) Purge(ctx context.Context, keep map[desired.Map]desired.Table) (int, error) {
	workers, err := c.purge(ctx, keep)
	if err != nil {
		return workers, fmt.Errorf("purge older workers: %w", err)
	}
	return workers, nil
}

func (c *Client) purge(ctx context.Context, keep map[desired.Map]desired.Table) (int, error) {
	if c.master == nil || c.mapsDir == "" {
		return 0, errors.New("no master socket or no directory of maps is named")
	}
	for _, m := range purged {
		if _, named := keep[m]; !named {
			return 0, fmt.Errorf("what %s is to keep is not said", m)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.eachOld(ctx, func(w worker) error {
		paths, err := c.maps(ctx, w)
		if err != nil {
			return err
		}
		var errs []error
		for m, file := range paths {
			if err := w.purge(ctx, file, keep[m]); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", m, err))
			}
		}
		return errors.Join(errs...)
	})
}

// maps are the files of the maps that the worker has. A worker from before the enforcement part was put in has none of
// them; one whose maps were in another directory cannot be told from that of somebody else's map, and is an error.
func (c *Client) maps(ctx context.Context, w worker) (map[desired.Map]string, error) {
	found, foreign := map[desired.Map]string{}, map[desired.Map]string{}
	header := false
	err := w.ask(ctx, func(_ int, line string) error {
		if strings.HasPrefix(line, "# id ") {
			header = true
			return nil
		}
		match := mapOfList.FindStringSubmatch(line)
		if match == nil {
			return unexpected("show map", line)
		}
		file := match[1]
		m := desired.Map(path.Base(file))
		switch {
		case !slices.Contains(purged, m):
		case file == c.mapsDir+"/"+string(m):
			found[m] = file
		default:
			foreign[m] = file
		}
		return nil
	}, command{"show", "map"})
	if err != nil {
		return nil, err
	}
	if !header {
		return nil, errors.New("read show map: it has no heading")
	}
	for m, file := range foreign {
		if _, ours := found[m]; !ours {
			return nil, fmt.Errorf("its %s is %.200q and not in %s", m, file, c.mapsDir)
		}
	}
	return found, nil
}

// purge takes rows out of one map until none is left that keep does not have.
func (w worker) purge(ctx context.Context, file string, keep desired.Table) error {
	for range purgeRounds {
		references, err := w.others(ctx, file, keep)
		if err != nil {
			return err
		}
		if len(references) == 0 {
			return nil
		}
		for batch := range slices.Chunk(references, maxBatch) {
			commands := make([]command, len(batch))
			for i, reference := range batch {
				commands[i] = command{"del", "map", file, "#" + reference}
			}
			if err := w.ask(ctx, nothing("del map"), commands...); err != nil {
				return err
			}
		}
	}
	return errors.New("rows come back")
}

// others are the references of the rows that keep does not have.
func (w worker) others(ctx context.Context, file string, keep desired.Table) ([]string, error) {
	var references []string
	err := w.ask(ctx, func(_ int, line string) error {
		match := mapRow.FindStringSubmatch(line)
		if match == nil {
			return unexpected("show map", line)
		}
		key, value, _ := strings.Cut(match[2], " ")
		if kept, there := keep[key]; !there || kept != value {
			references = append(references, match[1])
		}
		return nil
	}, command{"show", "map", file})
	return references, err
}
