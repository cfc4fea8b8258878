package table

import (
	"strings"
	"testing"
)

func TestPrint(t *testing.T) {
	value := map[string]any{"name": "a<b", "on": "on", "date": "2026-12-01", "list": []string{"x"}}
	shown := Table{Head: []string{"NAME", "ID"}, Rows: [][]string{{"one", "1"}, {"two\ttabs\nand lines", "2"}}, Key: 1}
	for format, want := range map[string]string{
		"json": "{\n  \"date\": \"2026-12-01\",\n  \"list\": [\n    \"x\"\n  ],\n  \"name\": \"a<b\",\n  \"on\": \"on\"\n}\n",
		"yaml": "date: \"2026-12-01\"\nlist:\n  - x\nname: a<b\n\"on\": \"on\"\n",
		"tsv":  "one\t1\ntwo tabs and lines\t2\n",
		"name": "1\n2\n",
	} {
		var out strings.Builder
		if err := shown.Print(&out, format, value); err != nil || out.String() != want {
			t.Errorf("%s: %q, want %q: %v", format, out.String(), want, err)
		}
	}
	var out strings.Builder
	if err := (Table{Head: shown.Head, Rows: shown.Rows[:1]}).Print(&out, "table", nil); err != nil || out.String() != "NAME  ID\none   1\n" {
		t.Errorf("table: %q, %v", out.String(), err)
	}
	for _, format := range Formats() {
		out.Reset()
		if err := (Table{Head: shown.Head}).Print(&out, format, []string{}); err != nil {
			t.Errorf("%s of nothing: %v", format, err)
		}
	}
}
