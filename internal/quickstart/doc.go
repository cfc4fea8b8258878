// Package quickstart is the sample workload: a program that reads one secret
// with the public Azure SDK and no credential of its own. It knows nothing of
// Lanyard: it runs unchanged against Azure.
package quickstart
