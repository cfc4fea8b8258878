package table

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
)

// Table is a heading and rows, each as long as the heading.
type Table struct {
	Head []string
	Rows [][]string
	Key  int // the column that names a row to other commands
}

// Formats are those of Print.
func Formats() []string { return []string{"table", "json", "yaml", "tsv", "name"} }

// Print writes the value itself as json or yaml, or the table in another format: cut to
// the width of a terminal, a line of tab-separated cells for each row, or its key alone.
func (t Table) Print(out io.Writer, format string, value any) error {
	switch format {
	case "json":
		return writeJSON(out, value)
	case "yaml":
		return writeYAML(out, value)
	case "tsv":
		return t.write(out, func(cells []string) string { return strings.Join(cells, "\t") })
	case "name":
		return t.write(out, func(cells []string) string { return cells[t.Key] })
	}
	t = t.fit(terminalWidth(out))
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.Head, "\t"))
	for _, r := range t.Rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// write puts each row on a line of its own, for other programs: no heading, and no
// tab or line break within a cell.
func (t Table) write(out io.Writer, line func(cells []string) string) error {
	for _, row := range t.Rows {
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
