package table

import (
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/lanyard-io/lanyard/internal/prompt"
)

// terminalWidth is a terminal's; 0 for anything else, and when it does not say.
func terminalWidth(out any) int {
	if !prompt.IsTerminal(out) {
		return 0
	}
	width, _, err := term.GetSize(int(out.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Limits of fit: blanks between two columns, and the least that is left of an id.
const (
	columnGap  = 2
	shortestID = 16
)

// fit cuts resource ids at their beginning until a table is as wide as the terminal,
// if that helps. Nothing else is cut: people copy it. Width 0 is no limit.
func (t Table) fit(width int) Table {
	if width <= 0 {
		return t
	}
	widths := make([]int, len(t.Head))
	ids := make([]bool, len(t.Head)) // columns of nothing but ids
	total, wide := -columnGap, 0
	for i := range t.Head {
		widths[i], ids[i] = utf8.RuneCountInString(t.Head[i]), len(t.Rows) > 0
		for _, row := range t.Rows { // each as long as the heading
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			ids[i] = ids[i] && strings.HasPrefix(row[i], "/")
		}
		total += widths[i] + columnGap
		if ids[i] = ids[i] && widths[i] > shortestID; ids[i] {
			wide++
		}
	}
	if total <= width || wide == 0 {
		return t
	}
	cut := (total - width + wide - 1) / wide
	rows := make([][]string, len(t.Rows))
	for r, row := range t.Rows {
		rows[r] = append([]string(nil), row...)
		for i := range row {
			if ids[i] {
				rows[r][i] = tail(row[i], max(widths[i]-cut, shortestID))
			}
		}
	}
	t.Rows = rows
	return t
}

// tail is the end of a text, where an id has its name.
func tail(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return "…" + string(runes[len(runes)-n+1:])
}
