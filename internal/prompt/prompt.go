package prompt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/lanyard-io/lanyard/internal/fault"
)

// Prompt reads from In, and asks on Out when In is a terminal.
type Prompt struct {
	In  io.Reader
	Out io.Writer
}

// maxValue is Key Vault's limit on a secret's value, in bytes.
const maxValue = 25600

// maxLine is more than any password has, in bytes.
const maxLine = 512

// IsTerminal says whether a stream is one.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Value is a secret's value, byte for byte: from a file, from standard input when the
// file is -, and from an answer or standard input when none is named.
func (p Prompt) Value(file string) (string, error) {
	b, err := p.bytes(file)
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the value: %w", err)
	case len(b) > maxValue:
		return "", fault.WithHint(fmt.Errorf("the value is longer than %d bytes", maxValue), "keep it elsewhere, encrypted, and its key here")
	case len(bytes.TrimSpace(b)) == 0:
		return "", fault.WithHint(errors.New("the value is empty"), `printf %s "$VALUE" | lanyard secret set VAULT NAME`)
	case !utf8.Valid(b):
		return "", fault.WithHint(errors.New("the value is not UTF-8 text, and the protocol carries no other"), "base64 FILE | lanyard secret set VAULT NAME")
	}
	return string(b), nil
}

// bytes reads at most one byte more than a value may have.
func (p Prompt) bytes(file string) ([]byte, error) {
	in := p.In
	switch {
	case file != "" && file != "-":
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	case file == "" && IsTerminal(p.In):
		return p.ask("value: ")
	}
	return io.ReadAll(io.LimitReader(in, maxValue+1))
}

// Password is the first line of standard input; at a terminal it is asked for, twice.
func (p Prompt) Password() (string, error) {
	if IsTerminal(p.In) {
		return p.askTwice()
	}
	b, err := io.ReadAll(io.LimitReader(p.In, maxLine))
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	word, _, _ := strings.Cut(string(b), "\n")
	if word = strings.TrimSuffix(word, "\r"); word == "" {
		return "", fault.WithHint(errors.New("the password is empty"), `printf %s "$PASSWORD" | lanyard user create NAME --password-stdin`)
	}
	return word, nil
}

func (p Prompt) askTwice() (string, error) {
	first, err := p.ask("password: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	second, err := p.ask("password, again: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if !bytes.Equal(first, second) {
		return "", errors.New("the two passwords differ")
	}
	return string(first), nil
}

func (p Prompt) ask(question string) ([]byte, error) {
	fmt.Fprint(p.Out, question)
	defer fmt.Fprintln(p.Out)
	return term.ReadPassword(int(p.In.(*os.File).Fd()))
}
