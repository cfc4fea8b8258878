// Package audit keeps an append-only record of every decision. A request whose
// record cannot be written must fail; callers return Append's error.
//
// It owns the record's shape, the files (JSON lines, numbered, rotated by size)
// and finding records again. It decides nothing, and it does not send records
// anywhere: whoever collects logs follows the files.
package audit
