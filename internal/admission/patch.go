package admission

import (
	"encoding/json"
	"strconv"
)

// Op is an operation of a JSON patch (RFC 6902).
type Op struct {
	Op    string          `json:"op"` // add, replace or remove
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

func (m *mutation) op(op, path string, value []byte) {
	m.patch.Ops = append(m.patch.Ops, Op{Op: op, Path: path, Value: value})
}

// extend adds items to the end of an array, which it makes if there is none.
func (m *mutation) extend(path string, s state, items [][]byte) {
	switch {
	case len(items) == 0:
	case s == absent:
		m.op("add", path, array(items))
	default:
		end := path + "/-"
		for _, item := range items {
			m.op("add", end, item)
		}
	}
}

func array(items [][]byte) []byte {
	size := 2
	for _, item := range items {
		size += len(item) + 1
	}
	b := append(make([]byte, 0, size), '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
	}
	return append(b, ']')
}

// JSON is the patch as a document.
func (p Patch) JSON() []byte {
	size := 2
	for _, op := range p.Ops {
		size += len(op.Path) + len(op.Value) + 48
	}
	b := append(make([]byte, 0, size), '[')
	for i, op := range p.Ops {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"op":"`...)
		b = append(b, op.Op...)
		b = append(b, `","path":`...)
		b = append(b, quote(op.Path)...)
		if op.Value != nil {
			b = append(b, `,"value":`...)
			b = append(b, op.Value...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// at is the pointer of an array's element.
func at(path string, i int) string { return path + "/" + strconv.Itoa(i) }
