package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

const (
	maxFound = 1000    // records of one Find; the oldest are left out
	maxLine  = 4 << 20 // more than the longest record; a longer line is not ours
)

// Find gives the records with this id or correlation id, oldest first: from
// memory if they are recent refusals, else from the files. Files are searched
// from the newest back until one that has some is followed by one that has
// none. At most 1,000 are given, the newest.
func (l *Log) Find(ctx context.Context, id string) ([]Record, error) {
	if id == "" || len(id) > maxText {
		return nil, nil
	}
	if lines := l.recent.find(id); len(lines) > 0 {
		return decode(lines)
	}
	select { // a search reads gigabytes: one at a time
	case l.scan <- struct{}{}:
		defer func() { <-l.scan }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to search the audit log: %w", ctx.Err())
	}
	found, err := l.search(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("searching the audit log: %w", err)
	}
	return found, nil
}

func decode(lines [][]byte) ([]Record, error) {
	records := make([]Record, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal(line, &records[i]); err != nil {
			return nil, fmt.Errorf("decoding an audit record: %w", err)
		}
	}
	return records, nil
}

func (l *Log) search(ctx context.Context, id string) ([]Record, error) {
	var all []Record
	for _, prefix := range prefixes {
		found, err := l.searchSeries(ctx, prefix, id)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	all = joined(all)
	return all[max(0, len(all)-maxFound):], nil
}

// joined sorts records by time, and leaves out the first record of a write whose
// second one is there.
func joined(all []Record) []Record {
	type act struct{ id, action, resource string }
	of := func(r *Record) act { return act{r.ID, r.Action, r.Resource} }
	ended := map[act]bool{}
	for i := range all {
		if o := all[i].Outcome; o != nil && o.Code != Pending {
			ended[of(&all[i])] = true
		}
	}
	all = slices.DeleteFunc(all, func(r Record) bool {
		return r.Outcome != nil && r.Outcome.Code == Pending && ended[of(&r)]
	})
	slices.SortStableFunc(all, func(a, b Record) int { return a.Time.Compare(b.Time) })
	return all
}

func (l *Log) searchSeries(ctx context.Context, prefix, id string) ([]Record, error) {
	numbers, err := list(l.dir, prefix)
	if err != nil {
		return nil, err
	}
	var found []Record
	for _, n := range slices.Backward(numbers) {
		file, err := os.Open(path(l.dir, prefix, n))
		if errors.Is(err, fs.ErrNotExist) { // rotated away meanwhile
			break
		}
		if err != nil {
			return nil, err
		}
		records, err := searchFile(ctx, file, id)
		file.Close()
		if err != nil {
			return nil, err
		}
		if len(found) > 0 && len(records) == 0 {
			break
		}
		found = append(records, found...)
		if len(found) >= maxFound {
			return found[len(found)-maxFound:], nil
		}
	}
	return found, nil
}

// searchFile gives the newest records with this id or correlation id. It passes
// over lines that are torn, too long or not records, in bounded memory.
func searchFile(ctx context.Context, file io.Reader, id string) ([]Record, error) {
	needle := appendText(nil, id, maxText)
	in := bufio.NewReaderSize(file, 256<<10)
	var found []Record
	var buf []byte
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		line, err := readLine(in, buf[:0])
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		buf = line
		if !bytes.Contains(line, needle) {
			continue
		}
		var r Record
		if json.Unmarshal(line, &r) != nil || r.ID != id && r.Correlation != id {
			continue
		}
		if len(found) == maxFound {
			found = found[1:]
		}
		found = append(found, r)
	}
}

// readLine reads up to the next newline. A line over maxLine comes back empty;
// one that the file's end cuts off is io.EOF.
func readLine(in *bufio.Reader, buf []byte) ([]byte, error) {
	tooLong := false
	for {
		part, err := in.ReadSlice('\n')
		tooLong = tooLong || len(buf)+len(part) > maxLine
		if tooLong {
			buf = buf[:0]
		} else {
			buf = append(buf, part...)
		}
		if err != bufio.ErrBufferFull {
			return buf, err
		}
	}
}
