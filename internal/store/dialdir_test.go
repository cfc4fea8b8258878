package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/store"
)

func TestUseDir(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		fault string
	}{
		"ca-alone":         {[]string{"ca.crt"}, ""},
		"pair-alone":       {[]string{"tls.crt", "tls.key"}, ""},
		"all":              {[]string{"ca.crt", "tls.crt", "tls.key"}, ""},
		"nothing":          {nil, "has neither ca.crt nor"},
		"certificate-only": {[]string{"ca.crt", "tls.crt"}, "has one of tls.crt and tls.key"},
		"key-only":         {[]string{"tls.key"}, "has one of tls.crt and tls.key"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			want := map[string]string{}
			for _, f := range test.files {
				want[f] = filepath.Join(dir, f)
				if err := os.WriteFile(want[f], nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var c store.DialConfig
			err := c.UseDir(dir)
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("error %v, want %q", err, test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for file, got := range map[string]string{"ca.crt": c.CAFile, "tls.crt": c.CertFile, "tls.key": c.KeyFile} {
				if got != want[file] {
					t.Errorf("%s: got %q, want %q", file, got, want[file])
				}
			}
		})
	}
}
