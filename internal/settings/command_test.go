package settings_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/settings"
)

// TestWhichFlagsAreSettings: what one command's flag is called by chance in another is
// no setting there.
func TestWhichFlagsAreSettings(t *testing.T) {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "lanyard"}
	root.PersistentFlags().String("data-dir", "", "")
	flags := map[string][]string{
		"up": {"listen", "log-level", "roles"}, "imds": {"listen", "log-level", "identity"}, "store": {"roles", "from"}, "vault": {"roles"},
	}
	commands := map[string]*cobra.Command{}
	for name, names := range flags {
		c := &cobra.Command{Use: name, Run: run}
		for _, f := range names {
			c.Flags().String(f, "", "")
		}
		root.AddCommand(c)
		commands[name] = c
	}
	for name, want := range map[string]string{
		"up":    "data-dir=data-dir listen=listen log-level=log-level roles=roles",
		"imds":  "data-dir=data-dir identity=imds-identity|identity listen=imds-listen log-level=imds-log-level|log-level",
		"store": "data-dir=data-dir roles=roles",
		"vault": "data-dir=data-dir",
	} {
		cmd := commands[name]
		if err := cmd.ParseFlags(nil); err != nil {
			t.Fatal(err)
		}
		c := settings.Of(cmd)
		var got []string
		for _, f := range c.Flags {
			got = append(got, f.Name+"="+strings.Join(f.Keys, "|"))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want || c.Command != name {
			t.Errorf("%s: got %s, want %s", name, strings.Join(got, " "), want)
		}
		if !slices.Contains(c.Known, "imds-identity") || !slices.Contains(c.Others, "from") {
			t.Errorf("%s: known %v, others %v", name, c.Known, c.Others)
		}
		if near := c.Nearest("listn", []string{"listen", "from"}); near != "listen" {
			t.Errorf("nearest to listn is %q", near)
		}
	}
}
