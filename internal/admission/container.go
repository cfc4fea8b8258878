package admission

import (
	"iter"
	"strings"
)

// list is one of the pod's lists of containers.
type list struct {
	path  string // of the array, as a JSON pointer
	state state
	items []container
}

type container struct {
	name       []byte
	envState   state
	env        []envVar
	from       [][]byte // prefixes of the variables that envFrom brings
	mountState state
	mounts     []mount
	place      string // where the token is, "" if nowhere; set by planToken
}

type envVar struct {
	name  []byte
	value []byte
	from  bool // by valueFrom
}

type mount struct {
	name, path []byte // the path is clean
	readOnly   bool
	odd        bool // shows a part of the volume, or the path may be another one
}

// all are the containers, of both lists.
func (p *pod) all() iter.Seq[*container] {
	return func(yield func(*container) bool) {
		for _, l := range []*list{&p.inits, &p.containers} {
			for i := range l.items {
				if !yield(&l.items[i]) {
					return
				}
			}
		}
	}
}

func (l *list) read(c *cursor) {
	l.state, l.items = absent, nil
	if !c.enter('[', strings.ReplaceAll(l.path[1:], "/", ".")) {
		return
	}
	l.state = present
	for c.elem() {
		if c.peek() != '{' {
			c.fail("a container is not an object")
			return
		}
		var n container
		for in := c.enter('{', "a container"); in && c.key(); {
			switch string(c.name) {
			case "name":
				n.name = c.text("a container's name")
			case "env":
				n.readEnv(c)
			case "envFrom":
				n.readEnvFrom(c)
			case "volumeMounts":
				n.readMounts(c)
			default:
				c.skip()
			}
		}
		l.items = append(l.items, n)
	}
}

func (n *container) readEnv(c *cursor) {
	n.envState, n.env = absent, nil
	if !c.enter('[', "a container's env") {
		return
	}
	n.envState = present
	for c.elem() {
		var e envVar
		for in := c.enter('{', "a variable"); in && c.key(); {
			switch string(c.name) {
			case "name":
				e.name = c.text("a variable's name")
			case "value":
				e.value = c.text("a variable's value")
			case "valueFrom":
				e.from = string(c.skip()) != "null"
			default:
				c.skip()
			}
		}
		n.env = append(n.env, e)
	}
}

func (n *container) readEnvFrom(c *cursor) {
	n.from = nil
	for in := c.enter('[', "a container's envFrom"); in && c.elem(); {
		var prefix []byte
		for in := c.enter('{', "a source of variables"); in && c.key(); {
			if string(c.name) == "prefix" {
				prefix = c.text("the prefix of variables")
			} else {
				c.skip()
			}
		}
		n.from = append(n.from, prefix)
	}
}

func (n *container) readMounts(c *cursor) {
	n.mountState, n.mounts = absent, nil
	if !c.enter('[', "a container's volumeMounts") {
		return
	}
	n.mountState = present
	for c.elem() {
		var m mount
		for in := c.enter('{', "a mount"); in && c.key(); {
			switch string(c.name) {
			case "name":
				m.name = c.text("a mount's name")
			case "mountPath":
				m.path = c.text("a mount's path")
			case "readOnly":
				m.readOnly = string(c.skip()) == "true"
			case "subPath", "subPathExpr":
				m.odd = m.odd || len(c.text("a mount's part")) > 0
			default:
				c.skip()
			}
		}
		var alias bool
		m.path, alias = clean(m.path)
		m.odd = m.odd || alias
		n.mounts = append(n.mounts, m)
	}
}
