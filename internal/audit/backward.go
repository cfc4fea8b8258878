package audit

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
)

// backward calls each with the lines of a file, the last one first, until each
// says fs.SkipAll. A line longer than maxLine comes in parts.
func backward(file io.ReaderAt, size int64, each func(line []byte) error) error {
	const block = 256 << 10
	var rest []byte // the end of a line that begins in an earlier block
	for end := size; end > 0; {
		n := min(block, end)
		end -= n
		buf := make([]byte, n, n+int64(len(rest)))
		if _, err := file.ReadAt(buf, end); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		buf = append(buf, rest...)
		for {
			i := bytes.LastIndexByte(buf, '\n')
			if i < 0 && end > 0 && len(buf) < maxLine {
				break
			}
			if line := buf[i+1:]; len(line) > 0 {
				if err := each(line); errors.Is(err, fs.SkipAll) {
					return nil
				} else if err != nil {
					return err
				}
			}
			if i < 0 {
				buf = nil
				break
			}
			buf = buf[:i]
		}
		rest = buf
	}
	return nil
}
