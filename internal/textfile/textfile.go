// Package textfile reads the text files that people hand over: key sets,
// certificates, kubeconfigs, settings. Windows PowerShell writes what is redirected
// into a file as UTF-16, and editors put a byte order mark before UTF-8. Secret
// values are bytes, and no business of this package.
package textfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf16"
	"unicode/utf8"
)

// maxSize is far more than any such file has.
const maxSize = 16 << 20

// Read reads a file and gives its text in UTF-8, without a byte order mark. A file of
// more than 16 MiB is none of these.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadFrom(f)
}

// ReadFrom is Read for a file that is open already.
func ReadFrom(f *os.File) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: it has more than %d MiB", f.Name(), maxSize>>20)
	}
	if b, err = Decode(b); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return b, nil
}

// Decode is Read for what is read already. Without a byte order mark it gives the
// text as it is, unless that is UTF-16 by all its looks.
func Decode(b []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		return b[3:], nil
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return fromUTF16(b[2:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return fromUTF16(b[2:], binary.BigEndian)
	case len(b) > 1 && (b[0] == 0) != (b[1] == 0):
		return nil, errors.New("UTF-16 without a byte order mark: save the file as UTF-8")
	}
	return b, nil
}

func fromUTF16(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%2 != 0 {
		return nil, errors.New("UTF-16 that is cut short: save the file as UTF-8")
	}
	units := make([]uint16, len(b)/2)
	for n := range units {
		units[n] = order.Uint16(b[2*n:])
	}
	text := make([]byte, 0, len(units))
	for _, r := range utf16.Decode(units) {
		text = utf8.AppendRune(text, r)
	}
	return text, nil
}
