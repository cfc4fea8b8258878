package wiretest

import (
	"fmt"
	"strings"
)

// exchange is one request and what is expected of its answer.
type exchange struct {
	title   string
	line    int // of the request in the file
	method  string
	url     string
	header  [][2]string
	body    string
	status  string
	expect  []string // headers: "Name: text" or "!Name"
	empty   bool
	content string // JSON; empty: anything
}

// parse reads a script. Every exchange starts with a "> METHOD URL" line.
func parse(src string) ([]*exchange, error) {
	p := parser{header: map[string]string{}}
	for i, line := range strings.Split(src, "\n") {
		if err := p.line(i+1, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, x := range p.all {
		if x.status == "" {
			return nil, fmt.Errorf("line %d: no \"< STATUS\"", x.line)
		}
	}
	return p.all, nil
}

type parser struct {
	host   string
	names  []string // of the default headers, in order
	header map[string]string
	title  string
	all    []*exchange
}

func (p *parser) line(n int, line string) error {
	x := p.last()
	switch {
	case strings.HasPrefix(line, "## "):
		p.title = line[3:]
	case strings.HasPrefix(line, "#"):
	case strings.HasPrefix(line, "@host "):
		p.host = line[6:]
	case strings.HasPrefix(line, "@header "):
		name, value, _ := strings.Cut(line[8:], ": ")
		if _, ok := p.header[name]; !ok {
			p.names = append(p.names, name)
		}
		p.header[name] = value
	case strings.HasPrefix(line, "> ") && (x == nil || x.status != ""):
		return p.begin(n, line[2:])
	case x == nil:
		if strings.TrimSpace(line) != "" {
			return fmt.Errorf("unexpected %q", line)
		}
	case strings.HasPrefix(line, "> "):
		x.setHeader(line[2:])
	case strings.HasPrefix(line, "< ") && x.status == "":
		x.status = line[2:]
	case line == "< empty":
		x.empty = true
	case strings.HasPrefix(line, "< "):
		x.expect = append(x.expect, line[2:])
	case x.status == "":
		x.body += line + "\n"
	default:
		x.content += line + "\n"
	}
	return nil
}

func (p *parser) last() *exchange {
	if len(p.all) == 0 {
		return nil
	}
	return p.all[len(p.all)-1]
}

func (p *parser) begin(n int, line string) error {
	method, url, ok := strings.Cut(line, " ")
	if !ok {
		return fmt.Errorf("want \"> METHOD URL\", got %q", line)
	}
	if strings.HasPrefix(url, "/") {
		url = "https://" + p.host + url
	}
	x := &exchange{title: p.title, line: n, method: method, url: url}
	p.title = ""
	for _, name := range p.names {
		x.header = append(x.header, [2]string{name, p.header[name]})
	}
	p.all = append(p.all, x)
	return nil
}

// setHeader adds or replaces a request header; "-Name" drops it.
func (x *exchange) setHeader(line string) {
	name, value, _ := strings.Cut(line, ": ")
	drop := strings.HasPrefix(name, "-")
	name = strings.TrimPrefix(name, "-")
	kept := x.header[:0]
	for _, h := range x.header {
		if !strings.EqualFold(h[0], name) {
			kept = append(kept, h)
		}
	}
	if x.header = kept; !drop {
		x.header = append(x.header, [2]string{name, value})
	}
}
