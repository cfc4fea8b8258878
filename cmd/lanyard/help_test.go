package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// walk visits every command that people see.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			walk(sub, visit)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	_, list, _ := runHere(t, "--help") // cobra adds its own commands when it runs
	if !strings.Contains(list, "demo") {
		t.Fatalf("the root's help does not list its commands:\n%s", list)
	}
	seen := 0
	walk(newRoot(&app{stdio: stdio{Getenv: func(string) string { return "" }}}), func(cmd *cobra.Command) {
		seen++
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: Short is %q, want words without a period", cmd.CommandPath(), cmd.Short)
		}
		own := false
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { own = own || f.Name != "help" })
		if own && cmd.Example == "" {
			t.Errorf("%s has flags and no example", cmd.CommandPath())
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s is not explained", cmd.CommandPath(), f.Name)
			}
		})

		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		code, out, errs := runHere(t, args...)
		if code != 0 || errs != "" || !strings.Contains(out, "Usage:") {
			t.Errorf("lanyard %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
		}
	})
	if seen < 40 {
		t.Errorf("walked over %d commands only", seen)
	}
}

// Examples are typed by people: every word of them that names a command or a
// flag must exist.
func TestExamplesParse(t *testing.T) {
	walk(newRoot(&app{stdio: stdio{Getenv: func(string) string { return "" }}}), func(cmd *cobra.Command) {
		text := strings.ReplaceAll(cmd.Example, "\\\n", " ")
		for line := range strings.SplitSeq(text, "\n") {
			_, call, ok := strings.Cut(line, "lanyard ")
			if !ok || strings.HasPrefix(strings.TrimSpace(call), "#") {
				continue
			}
			if _, inPod, ok := strings.Cut(call, "-- lanyard "); ok {
				call = inPod // kubectl exec has words of its own
			}
			call, _, _ = strings.Cut(call, " #")
			call = strings.NewReplacer(`)"`, " ", `"`, "", "'", "").Replace(call)
			words := strings.Fields(call)
			for i, w := range words {
				if strings.ContainsAny(w, "|&;>") {
					words = words[:i]
					break
				}
			}
			root := newRoot(&app{stdio: stdio{Getenv: func(string) string { return "" }}})
			named, rest, err := root.Find(words)
			if err != nil {
				t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
				continue
			}
			if err := named.ParseFlags(rest); err != nil {
				t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
			}
			if args := named.Flags().Args(); named.HasSubCommands() && len(args) > 0 {
				if err := named.ValidateArgs(args); err != nil {
					t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
				}
			}
		}
	})
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, out, errs := runHere(t, "completion", shell)
		if code != 0 || errs != "" || !strings.Contains(out, "lanyard") {
			t.Errorf("completion %s: exit %d, %d bytes, %s", shell, code, len(out), errs)
		}
	}
	var out strings.Builder
	code := run(context.Background(), []string{"__complete", "secret", "s"}, stdio{
		In: strings.NewReader(""), Out: &out, Err: &strings.Builder{}, Getenv: func(string) string { return "" },
	})
	if code != 0 || !strings.HasPrefix(out.String(), "set\t") {
		t.Errorf("completing `lanyard secret s` gives %q", out.String())
	}
}

// Arguments are in the list of processes, which every user of a machine can read, and
// in the shell's history: secrets come from files and from standard input.
func TestNoArgumentIsASecret(t *testing.T) {
	notSecret := map[string]bool{"token-layout": true} // words, not values
	secrets := 0
	walk(newRoot(&app{stdio: stdio{Getenv: func(string) string { return "" }}}), func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			words := strings.Split(f.Name, "-")
			if !slices.ContainsFunc([]string{"secret", "password", "passphrase", "token", "key", "keys", "value", "credentials", "assertion"}, func(w string) bool { return slices.Contains(words, w) }) {
				return
			}
			kind := f.Value.Type()
			holds, _ := pflag.UnquoteUsage(f)
			if kind != "string" || notSecret[f.Name] || slices.Contains(words, "custom") {
				return
			}
			if secrets++; !strings.Contains(strings.ToLower(holds+" "+f.Usage), "file") {
				t.Errorf("%s --%s takes a %s, not a file: %s", cmd.CommandPath(), f.Name, holds, f.Usage)
			}
		})
	})
	if secrets < 5 {
		t.Errorf("found only %d flags that are about secrets", secrets)
	}
	if code, _, errs := runHere(t, "secret", "set", "kv", "name", "value"); code != 2 {
		t.Errorf("a secret's value is taken as an argument: exit %d, %s", code, errs)
	}
}

// Every command is in a group of the help.
func TestCommandsAreGrouped(t *testing.T) {
	_, help, _ := runHere(t, "--help")
	for _, title := range []string{"Things:", "Clusters and pods:", "The server:", "Clients of the server:", "Help:"} {
		if !strings.Contains(help, "\n"+title+"\n") {
			t.Errorf("the help has no group %s\n%s", title, help)
		}
	}
	if strings.Contains(help, "Additional Commands:") || strings.Contains(help, "Available Commands:") {
		t.Errorf("the help has commands without a group:\n%s", help)
	}
}
