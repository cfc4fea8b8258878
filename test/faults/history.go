package main

import (
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// The history of one name in a vault, as clients saw it, must be one that a single
// register could have had: https://en.wikipedia.org/wiki/Linearizability

type verb string

const (
	set   verb = "set"
	get   verb = "get"
	del   verb = "delete"
	purge verb = "purge"
)

type input struct {
	verb  verb
	value string // of a set
}

// outcome of a request. unknown is one that nobody answered, or not clearly: it may
// have taken effect then, later, or never.
type outcome string

const (
	done    outcome = "done"
	missing outcome = "missing" // 404
	taken   outcome = "taken"   // 409: the name is that of a deleted secret
	unknown outcome = "unknown"
)

type result struct {
	outcome outcome
	value   string // of a get that is done
}

// register is a name: not there, with a value, or deleted and not purged.
type register struct {
	there, deleted bool
	value          string
}

var registerModel = porcupine.Model{
	Init:  func() any { return register{} },
	Step:  func(state, in, out any) (bool, any) { return step(state.(register), in.(input), out.(result)) },
	Equal: func(a, b any) bool { return a == b },
}

func step(r register, in input, out result) (bool, any) {
	if out.outcome == unknown {
		return true, after(r, in)
	}
	switch in.verb {
	case set:
		return (out.outcome == taken) == r.deleted, after(r, in)
	case get:
		return (out.outcome == done) == r.there && (!r.there || r.value == out.value), r
	case del:
		return (out.outcome == done) == r.there, after(r, in)
	default: // purge
		return (out.outcome == done) == r.deleted, after(r, in)
	}
}

// after is what a request that takes effect leaves.
func after(r register, in input) register {
	switch {
	case in.verb == set && !r.deleted:
		return register{there: true, value: in.value}
	case in.verb == del && r.there:
		return register{deleted: true}
	case in.verb == purge && r.deleted:
		return register{}
	}
	return r
}

// outcomeOf reads an answer to a request about one name.
func outcomeOf(a answer) outcome {
	switch {
	case a.ok():
		return done
	case a.err == nil && a.status == 404:
		return missing
	case a.has("ObjectIsDeletedButRecoverable"):
		return taken
	}
	return unknown
}

// checkHistory says whether ops could have been, and whether that could be decided
// in time.
func checkHistory(ops []porcupine.Operation, limit time.Duration) (linearizable, decided bool) {
	checked := porcupine.CheckOperationsTimeout(registerModel, ops, limit)
	return checked != porcupine.Illegal, checked != porcupine.Unknown
}

// describe is a history for a person.
func describe(ops []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range ops {
		in, out := o.Input.(input), o.Output.(result)
		b.WriteString(time.Duration(o.Call).String() + " " + string(in.verb) + " " + in.value + " -> " + string(out.outcome) + " " + out.value + "\n")
	}
	return b.String()
}
