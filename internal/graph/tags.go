package graph

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/model"
)

// Real clients write blanks into tags, which the documentation forbids.
// https://learn.microsoft.com/entra/identity-platform/reference-microsoft-graph-app-manifest#tags-attribute
const (
	maxTag  = 256 // characters
	maxTags = 100 // of one object
)

// readTags gives the tags to store; an absent member changes nothing.
func readTags(in *[]string, old []string) ([]string, error) {
	if in == nil {
		return old, nil
	}
	var tags []string
	for _, tag := range *in {
		unprintable := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
		if n := utf8.RuneCountInString(tag); n == 0 || n > maxTag || slices.ContainsFunc([]rune(tag), unprintable) {
			return nil, fail(badRequest, "Invalid value specified for property 'tags': a tag must have 1 to %d printable characters.", maxTag)
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
		if len(tags) > maxTags {
			return nil, fail(badRequest, "Invalid value specified for property 'tags': there can be %d.", maxTags)
		}
	}
	return tags, nil
}

// principalTags are those of a service principal and, because they appear there too,
// those of its application.
// https://learn.microsoft.com/graph/api/resources/application
func principalTags(a *model.Application) []string {
	tags := append([]string{}, a.PrincipalTags...)
	for _, tag := range a.Tags {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}
