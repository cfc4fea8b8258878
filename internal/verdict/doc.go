// Package verdict is what a command tells of the error that ended it: words for a person
// on one line, the next thing to try, and the exit code that scripts go by. It knows the
// errors of the SDK, of the server and of the system; it decides nothing else.
package verdict
