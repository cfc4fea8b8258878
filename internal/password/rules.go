package password

import (
	"crypto/rand"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a password. Length is what counts; letters, digits and signs may be mixed or not.
// https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
const (
	minChars    = 10
	MaxBytes    = 256 // a longer one is refused without being hashed
	minDistinct = 5
)

// Check says why a text cannot be the password of a user name; nil when it can.
// The error does not repeat the text.
func Check(password, user string) error {
	distinct := map[rune]bool{}
	for _, r := range password {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return errors.New("it has a character that cannot be typed")
		}
		distinct[r] = true
	}
	local, _, _ := strings.Cut(user, "@")
	switch {
	case len(password) > MaxBytes:
		return errors.New("it is longer than 256 bytes")
	case utf8.RuneCountInString(password) < minChars:
		return errors.New("it has fewer than 10 characters")
	case len(distinct) < minDistinct:
		return errors.New("it has fewer than 5 different characters")
	case len(local) > 2 && strings.Contains(strings.ToLower(password), strings.ToLower(local)):
		return errors.New("it contains the user's name")
	}
	return nil
}

// Generate draws a password of 130 bits, of letters and digits that are read and
// typed without mistakes.
func Generate() string { return rand.Text() }
