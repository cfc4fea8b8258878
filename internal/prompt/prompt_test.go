package prompt_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/prompt"
)

func TestValue(t *testing.T) {
	for name, test := range map[string]struct{ given, wrong string }{
		"plain":                {"correct horse", ""},
		"line-break-is-kept":   {"correct horse\n", ""},
		"longest":              {strings.Repeat("x", 25600), ""},
		"too-long":             {strings.Repeat("x", 25601), "longer than 25600 bytes"},
		"empty":                {"", "empty"},
		"only-a-line-break":    {"\n", "empty"},
		"not-text":             {"\xff\xfe", "not UTF-8"},
		"byte-order-mark-kept": {"\ufeffx", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "value")
			if err := os.WriteFile(file, []byte(test.given), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, from := range []string{file, "-", ""} {
				in := test.given
				if from == file {
					in = "something else"
				}
				got, err := prompt.Prompt{In: strings.NewReader(in), Out: io.Discard}.Value(from)
				if test.wrong == "" && (err != nil || got != test.given) {
					t.Errorf("from %q: got %d bytes, want %d: %v", from, len(got), len(test.given), err)
				}
				if test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong) || fault.Hint(err) == "" || got != "") {
					t.Errorf("from %q: %v, want %s and a hint", from, err, test.wrong)
				}
			}
		})
	}
	if _, err := (prompt.Prompt{}).Value(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("there is a value in no file")
	}
}

func TestPassword(t *testing.T) {
	for given, want := range map[string]string{
		"correct horse": "correct horse", "correct horse\nmore": "correct horse", "correct horse\r\n": "correct horse", " x ": " x ", "\nx": "", "": "",
	} {
		got, err := prompt.Prompt{In: strings.NewReader(given), Out: io.Discard}.Password()
		if got != want || (err != nil) != (want == "") {
			t.Errorf("Password(%q) = %q, want %q: %v", given, got, want, err)
		}
	}
}
