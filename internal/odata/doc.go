// Package odata reads the text of a $filter: blanks, words, quoted values, and terms
// that are joined by "and". It does not know what can be filtered by what: a surface
// reads its own terms with it.
package odata
