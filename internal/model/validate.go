package model

import (
	"crypto/rand"
	"strings"
)

// NewUUID makes a random (version 4) UUID in lower case.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return formatUUID(b)
}

const hexDigits = "0123456789abcdef"

func formatUUID(b [16]byte) string {
	var s [36]byte
	at := 0
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			s[at] = '-'
			at++
		}
		s[at], s[at+1] = hexDigits[c>>4], hexDigits[c&15]
		at += 2
	}
	return string(s[:])
}

// ValidUUID says whether s is 8-4-4-4-12 hex digits, in either letter case.
func ValidUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// ValidItemName says whether s may name what a vault holds: 1 to 127 of 0-9 a-z A-Z and
// the dash. https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates
func ValidItemName(s string) bool { return validWord(s, 1, 127, false) }

// ValidVaultName says whether s may name a vault: 3 to 24 letters, digits and
// single dashes, starting with a letter and not ending with a dash.
func ValidVaultName(s string) bool {
	if len(s) < 3 || len(s) > 24 || !letter(s[0]) || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) && !digit(s[i]) && s[i] != '-' || s[i] == '-' && s[i-1] == '-' {
			return false
		}
	}
	return true
}

// ValidIdentityName says whether s may name a managed identity: 3 to 128
// letters, digits, dashes and underscores, starting with a letter or digit.
func ValidIdentityName(s string) bool { return validWord(s, 3, 128, true) }

// ValidCredentialName says whether s may name a federated credential: 3 to 120
// letters, digits, dashes and underscores, starting with a letter or digit.
func ValidCredentialName(s string) bool { return validWord(s, 3, 120, true) }

// ValidApplicationCredentialName says whether s may name a federated credential
// of an application: 1 to 120 characters that need no escape in a URL, such as
// padded base64url, but no dot segment.
// https://learn.microsoft.com/graph/api/resources/federatedidentitycredential
func ValidApplicationCredentialName(s string) bool {
	if s == "" || len(s) > 120 || s == "." || s == ".." {
		return false
	}
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~=") == ""
}

func validWord(s string, least, most int, named bool) bool {
	if len(s) < least || len(s) > most || named && !letter(s[0]) && !digit(s[0]) {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) && !digit(s[i]) && s[i] != '-' && (!named || s[i] != '_') {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }
