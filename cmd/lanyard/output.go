package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
)

// table is what a command shows: a heading and rows for people, and the value
// itself for -o json and -o yaml.
type table struct {
	head []string
	rows [][]string
	key  int // the column that names a row to other commands: -o name
}

// formats are what -o takes.
func formats() []string { return []string{"table", "json", "yaml", "tsv", "name"} }

// whole says whether the user asked for the value itself.
func (a *app) whole() bool { return a.output == "json" || a.output == "yaml" }

// print writes value or t, as the user asked.
func (a *app) print(value any, t table) error {
	switch a.output {
	case "json":
		return writeJSON(a.Out, value)
	case "yaml":
		return writeYAML(a.Out, value)
	case "tsv":
		return t.write(a.Out, func(cells []string) string { return strings.Join(cells, "\t") })
	case "name":
		return t.write(a.Out, func(cells []string) string { return cells[t.key] })
	}
	t = t.fit(terminalWidth(a.Out))
	w := tabwriter.NewWriter(a.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.head, "\t"))
	for _, r := range t.rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// write puts each row on a line of its own, for other programs: no heading, and no
// tab or line break within a cell.
func (t table) write(out io.Writer, line func(cells []string) string) error {
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = strings.Map(func(r rune) rune {
				if r == '\t' || r == '\n' || r == '\r' {
					return ' '
				}
				return r
			}, cell)
		}
		if _, err := fmt.Fprintln(out, line(cells)); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// writeYAML writes what writeJSON would, in the same order: JSON is YAML already, but
// for its style.
func writeYAML(out io.Writer, value any) error {
	var text bytes.Buffer
	if err := writeJSON(&text, value); err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &doc); err != nil {
		return err
	}
	if err := plain(&doc); err != nil {
		return err
	}
	e := yaml.NewEncoder(out)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return err
	}
	return e.Close()
}

// plain takes the style of JSON from a document. Text keeps its quotes where a reader,
// an old one too, would take it for something else: on, 0123, a date.
func plain(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		return n.Encode(n.Value)
	}
	if len(n.Content) > 0 {
		n.Style = 0
	}
	for _, part := range n.Content {
		if err := plain(part); err != nil {
			return err
		}
	}
	return nil
}

// say writes words for people, beside the output.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }
