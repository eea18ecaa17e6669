package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

func (r *result) writeJSON(out io.Writer) error { return writeJSON(out, r) }

// write is for people.
func (r *result) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "old\t%s\nnew\t%s\n", label(r.Old.Policy, r.Old.Hash), label(r.New.Policy, r.New.Hash))
	if g := r.Grants; g != nil {
		fmt.Fprintf(w, "grants\t%s judged, %d would end\n", count(g.Judged, "grant"), len(g.Ends))
	} else {
		fmt.Fprintf(w, "grants\tnone given: --grants or -c names some\n")
	}
	fmt.Fprintf(w, "pools\t%s, %s, %s\n", count(len(r.Pools), "pool"), count(r.Questions, "question"), count(len(r.Changes), "change"))
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note\t%s\n", note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := r.Grants.write(out); err != nil {
		return err
	}
	return r.writeChanges(out)
}

func (g *judged) write(out io.Writer) error {
	if g == nil {
		return nil
	}
	if g.Neither > 0 {
		fmt.Fprintf(out, "\n%s not stand under the old policy either.\n", verb(g.Neither, "grant does", "grants do"))
	}
	if g.Undecided > 0 {
		fmt.Fprintf(out, "\n%s could not be judged in time.\n", count(g.Undecided, "grant"))
	}
	if len(g.Ends) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nENDS\tSUBJECT\tPOOL\tSTATE\tUNTIL\tWHY")
	for _, e := range g.Ends {
		until := "-"
		if e.ExpiresAt != nil {
			until = e.ExpiresAt.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", plain(e.ID), e.Subject, e.Pool, e.State, until, plain(e.Explanation))
	}
	return w.Flush()
}

func verb(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (r *result) writeChanges(out io.Writer) error {
	if len(r.Changes) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nCHANGE\tPOOL\tWHO\tOLD\tNEW\tWHEN")
	for _, c := range r.Changes {
		fmt.Fprintln(w, strings.Join([]string{c.Kind, c.Pool, plain(c.Who), plain(c.Old), plain(c.New), plain(c.When)}, "\t"))
	}
	return w.Flush()
}
