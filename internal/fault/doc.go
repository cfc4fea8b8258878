// Package fault is what an error tells a person beyond its words: the next thing to
// try, and whether it is about something that is not there. The command line prints
// the one and makes an exit code of the other. It writes nothing itself.
package fault
