package lanyardtest_test

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// exampleT stands for the t of your test: an example has none.
type exampleT struct {
	testing.TB
	dir  string
	undo []func()
}

func newT() *exampleT {
	dir, err := os.MkdirTemp("", "lanyard-example-")
	if err != nil {
		panic(err)
	}
	t := &exampleT{dir: dir}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return t
}

func (t *exampleT) end() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
}

func (t *exampleT) Helper()                           {}
func (t *exampleT) Cleanup(f func())                  { t.undo = append(t.undo, f) }
func (t *exampleT) TempDir() string                   { return t.dir }
func (t *exampleT) Context() context.Context          { return context.Background() }
func (t *exampleT) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleT) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
