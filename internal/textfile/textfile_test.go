package textfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/textfile"
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct{ file, want, err string }{
		"plain":                     {"{\"a\":\"ä€\"}\n", "{\"a\":\"ä€\"}\n", ""},
		"empty":                     {"", "", ""},
		"one-byte":                  {"x", "x", ""},
		"utf-8-mark":                {"\xef\xbb\xbf{}", "{}", ""},
		"utf-8-mark-alone":          {"\xef\xbb\xbf", "", ""},
		"utf-16-little":             {"\xff\xfe{\x00\xe4\x00\xac\x20\x3d\xd8\x11\xdd}\x00\r\x00\n\x00", "{ä€🔑}\r\n", ""},
		"utf-16-big":                {"\xfe\xff\x00{\x00}", "{}", ""},
		"utf-16-mark-alone":         {"\xff\xfe", "", ""},
		"utf-16-half-a-pair":        {"\xff\xfe\x3d\xd8{\x00", "\ufffd{", ""},
		"utf-16-cut":                {"\xff\xfe{\x00}", "", "cut short"},
		"utf-16-without-mark":       {"{\x00}\x00", "", "byte order mark"},
		"utf-16-big-without-a-mark": {"\x00{\x00}", "", "byte order mark"},
		"not-utf-8":                 {"caf\xe9", "caf\xe9", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := textfile.Read(path)
			if string(got) != c.want || (err == nil) != (c.err == "") {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), path)) {
				t.Errorf("error %q, want it to say %q and the file", err, c.err)
			}
		})
	}
	if _, err := textfile.Read(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "\xff\xfe{\x00}\x00", "\xfe\xff\x00{\x00", "\xef\xbb\xbf{}", "{\x00}\x00", "\xff\xfe\x3d\xd8"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := textfile.Decode(b)
		if err != nil && text != nil {
			t.Errorf("text %q with error %v", text, err)
		}
		if utf8.Valid(b) && !utf8.Valid(text) {
			t.Errorf("%q became %q", b, text)
		}
	})
}

// What is no file of a person's, such as a device without an end, is not read to its end.
func TestReadIsBounded(t *testing.T) {
	if _, err := textfile.Read("/dev/zero"); err == nil || !strings.Contains(err.Error(), "more than 16 MiB") {
		t.Errorf("a device without an end: %v", err)
	}
	path := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(path, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := textfile.Read(path); err != nil || len(b) != 16<<20 {
		t.Errorf("the largest file: %d bytes, %v", len(b), err)
	}
}
