package audit

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The files of a series are audit-00000001.jsonl, audit-00000002.jsonl and so on.
const fileSuffix = ".jsonl"

// files is the writing side of a series: the newest file, open.
type files struct {
	dir    string
	prefix string
	max    int64
	keep   int
	age    time.Duration // 0: files do not grow too old
	now    func() time.Time
	sync   bool
	log    *slog.Logger

	closed bool
	file   *os.File // nil after an error; the next write opens it again
	info   os.FileInfo
	number uint64
	size   int64
	begun  time.Time // when its first record came, at the latest
}

// write puts whole lines at the end of the newest file. After an error some of
// them may be there, the last of these torn; open repairs that.
func (f *files) write(data []byte) error {
	if err := f.prepare(int64(len(data))); err != nil {
		return err
	}
	n, err := f.file.Write(data)
	f.size += int64(n)
	if err == nil && f.sync {
		err = f.file.Sync()
	}
	if err != nil {
		f.drop()
		return fmt.Errorf("writing the audit log: %w", err)
	}
	return nil
}

// prepare makes sure that f.file is the newest file in the directory and has
// room for n bytes.
func (f *files) prepare(n int64) error {
	if f.closed {
		return errClosed
	}
	if f.file != nil && !f.inPlace() {
		f.log.Warn("the audit file was removed or replaced; opening it again", "path", f.file.Name())
		f.drop()
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return fmt.Errorf("opening the audit log: %w", err)
		}
	}
	if f.size > 0 && (f.size+n > f.max || f.spans()) {
		return f.rotate()
	}
	return nil
}

// spans says whether the file has records of so long a time that a new one is due:
// files are removed whole.
func (f *files) spans() bool {
	return f.age > 0 && f.now().Sub(f.begun) > max(f.age/8, time.Hour)
}

// tend begins a new file when the newest is old, and removes what is too old:
// nothing may be written for long.
func (f *files) tend() {
	if f.closed || f.age <= 0 {
		return
	}
	if f.size > 0 && f.spans() && f.file != nil {
		if err := f.rotate(); err != nil {
			f.log.Warn("could not begin a new audit file", "error", err)
		}
		return
	}
	f.prune()
}

// inPlace says whether the open file is still what its name leads to: a record
// in a file that somebody deleted would be no record.
func (f *files) inPlace() bool {
	info, err := os.Stat(f.file.Name())
	return err == nil && os.SameFile(info, f.info)
}

// open opens the newest file, or makes the first.
func (f *files) open() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(f.dir, 0o700); err != nil {
		return err
	}
	numbers, err := list(f.dir, f.prefix)
	if err != nil {
		return err
	}
	number := uint64(1)
	if len(numbers) > 0 {
		number = numbers[len(numbers)-1]
	}
	return f.use(number)
}

// rotate begins a new file. When that fails, so does the write: the old file
// stays as it is.
func (f *files) rotate() error {
	number := f.number + 1
	f.drop()
	if err := f.use(number); err != nil {
		return fmt.Errorf("beginning a new audit file: %w", err)
	}
	f.prune()
	return nil
}

func (f *files) use(number uint64) (err error) {
	file, err := os.OpenFile(path(f.dir, f.prefix, number), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && info.Mode().Perm() != 0o600 {
		if err := file.Chmod(0o600); err != nil {
			return err
		}
	}
	size := info.Size()
	torn, err := tornEnd(file, size)
	if err != nil {
		return err
	}
	if torn {
		if _, err := file.WriteString("\n"); err != nil {
			return err
		}
		size++
	}
	if size == 0 && f.sync {
		if err := syncDir(f.dir); err != nil {
			return err
		}
	}
	f.file, f.info, f.number, f.size, f.begun = file, info, number, size, f.now()
	if size > 0 {
		f.begun = firstTime(file, f.begun)
	}
	return nil
}

// firstTime is that of a file's first record, or other if it cannot be read.
func firstTime(file *os.File, other time.Time) time.Time {
	head := make([]byte, 64)
	n, _ := file.ReadAt(head, 0)
	if t, ok := lineTime(head[:n]); ok {
		return t
	}
	return other
}

// lineTime reads the time that every record begins with.
func lineTime(line []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"time":"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(rest[:end]))
	return t, err == nil
}

// tornEnd says whether the last line has no end.
func tornEnd(file *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], size-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}

// prune removes the oldest files: those beyond the number to keep, and those whose
// last record is too old. A file that stays is no reason to fail.
func (f *files) prune() {
	if f.keep < 0 && f.age <= 0 {
		return
	}
	numbers, err := list(f.dir, f.prefix)
	if err != nil {
		f.log.Warn("could not list old audit files", "error", err)
		return
	}
	for i, n := range numbers {
		name := path(f.dir, f.prefix, n)
		if n == f.number || !(f.keep >= 0 && i < len(numbers)-f.keep || f.tooOld(name)) {
			continue
		}
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			f.log.Warn("could not remove an old audit file", "error", err)
		}
	}
}

func (f *files) tooOld(name string) bool {
	if f.age <= 0 {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && f.now().Sub(info.ModTime()) > f.age
}

// drop closes the file after an error or before another one is opened.
func (f *files) drop() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

func (f *files) close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	if f.file == nil {
		return nil
	}
	err := f.file.Sync()
	f.drop()
	if err != nil {
		return fmt.Errorf("closing the audit log: %w", err)
	}
	return nil
}

func path(dir, prefix string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%08d%s", prefix, number, fileSuffix))
}

// list gives the numbers of a series' files in a directory, ascending.
func list(dir, prefix string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		s, ok := strings.CutPrefix(e.Name(), prefix)
		s, ok2 := strings.CutSuffix(s, fileSuffix)
		if n, err := strconv.ParseUint(s, 10, 63); ok && ok2 && err == nil && path("", prefix, n) == e.Name() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// syncDir makes a new file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
