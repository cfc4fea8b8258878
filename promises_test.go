package lanyard_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile("`(?:Test|Fuzz)[A-Z]\\w*`")

// TestEveryPromiseNamesATest: a promise in docs/SECURITY.md that nothing holds is a
// wish. That the tests exist is for TestTestsInDocsExist.
func TestEveryPromiseNamesATest(t *testing.T) {
	doc := read(t, "docs/SECURITY.md")
	promises := 0
	for _, row := range tableRows(doc) {
		if row[0] == "Promise" || strings.HasPrefix(row[0], "---") {
			continue
		}
		if promises++; len(row) != 3 || !testName.MatchString(row[2]) {
			t.Errorf("no test is named for %q", row[0])
		}
	}
	_, closed, found := strings.Cut(doc, "\n## Fail closed\n")
	closed, _, _ = strings.Cut(closed, "\n## ")
	bullets := strings.Split(closed, "\n- ")[1:]
	for _, bullet := range bullets {
		if promises++; !testName.MatchString(bullet) {
			t.Errorf("no test is named for %q", bullet)
		}
	}
	if !found || promises < 50 {
		t.Errorf("found only %d promises: is the test looking in the right place?", promises)
	}
}

// TestCommandsInDocsExist holds for targets of make and for scripts of the tests.
func TestCommandsInDocsExist(t *testing.T) {
	makefile := "\n" + read(t, "Makefile")
	commands := 0
	for _, doc := range documents(t) {
		text := read(t, doc)
		for _, m := range regexp.MustCompile("(?m)(?:`|^)make ([a-z][a-z0-9-]*)(?:`| |$)").FindAllStringSubmatch(text, -1) {
			if commands++; !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s says `make %s`, which is no target", doc, m[1])
			}
		}
		for _, m := range regexp.MustCompile("(?m)(?:`|^)(test/[a-z0-9/]+/(?:run|up|down|build|install|restart))\\b").FindAllStringSubmatch(text, -1) {
			commands++
			if info, err := os.Stat(m[1]); err != nil || info.Mode()&0o100 == 0 {
				t.Errorf("%s says `%s`, which cannot be run: %v", doc, m[1], err)
			}
		}
	}
	if commands < 25 {
		t.Errorf("found only %d commands: is the test looking in the right place?", commands)
	}
}
