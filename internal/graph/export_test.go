package graph

import (
	"strings"

	"github.com/lanyard-io/lanyard/internal/odata"
)

// ParseCertificate is parseCertificate, for the fuzzer.
var ParseCertificate = parseCertificate

// Rewrite reads a filter and writes it out in one form.
func Rewrite(s string) (string, error) {
	terms, err := parseFilter(s)
	var out []string
	for _, t := range terms {
		value := odata.Quote(t.value)
		switch {
		case t.prefix:
			out = append(out, "startswith("+t.field+","+value+")")
		case t.any:
			out = append(out, t.field+"/any(x:x eq "+value+")")
		default:
			out = append(out, t.field+" eq "+value)
		}
	}
	return strings.Join(out, " and "), err
}
