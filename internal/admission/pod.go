package admission

import (
	"bytes"
	"strings"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// state of an array or object in the document: what a patch must create.
type state uint8

const (
	absent state = iota // or null
	present
)

// pod is what is read of a pod. Byte slices may be part of the document.
type pod struct {
	metadata     bool
	annotations  state
	noted        map[string]string // the annotations that matter here
	noteBytes    int               // all annotations together, as the API server counts
	use          []byte            // the label that selects the pod
	account      []byte
	oldAccount   []byte
	spec         bool
	hostNetwork  bool
	windows      bool
	volumeState  state
	volumes      []volume
	aliasState   state
	aliases      []alias
	inits        list
	containers   list
	kind         []byte
	name         []byte
	generateName []byte
}

type volume struct {
	name      []byte
	projected []byte // raw; nil if the volume is of another kind
	sources   []byte // raw; of projected
	kind      []byte // of the volume, if another one
	source    []byte // raw; of that kind
}

type alias struct {
	ip     []byte
	names  [][]byte
	listed state
}

// What else counts in pods.
const (
	injectedNote      = wi.OwnPrefix + "injected"
	certificatesNote  = wi.OwnPrefix + "ca-certificates"
	mirrorNote        = "kubernetes.io/config.mirror"
	osSelector        = "kubernetes.io/os"
	maxAnnotationSize = 256 << 10 // of all annotations of an object together
)

// readPod reads a document that json.Valid has passed.
func readPod(b []byte) (*pod, error) {
	c := &cursor{b: b}
	p := &pod{
		noted:      map[string]string{},
		inits:      list{path: "/spec/initContainers"},
		containers: list{path: "/spec/containers"},
	}
	if c.peek() != '{' {
		c.fail("the object is not a Pod")
	}
	for in := c.enter('{', "the pod"); in && c.key(); {
		switch string(c.name) {
		case "kind":
			p.kind = c.text("kind")
		case "metadata":
			p.readMetadata(c)
		case "spec":
			p.readSpec(c)
		default:
			c.skip()
		}
	}
	switch {
	case c.err != nil:
	case len(p.kind) > 0 && string(p.kind) != "Pod":
		c.fail("the object is a %s, not a Pod", clip(p.kind))
	case !p.spec:
		c.fail("the pod has no spec")
	}
	return p, c.err
}

func (p *pod) readMetadata(c *cursor) {
	p.name, p.generateName, p.use = nil, nil, nil
	p.annotations, p.noteBytes = absent, 0
	clear(p.noted)
	p.metadata = c.enter('{', "metadata")
	for p.metadata && c.key() {
		switch string(c.name) {
		case "name":
			p.name = c.text("metadata.name")
		case "generateName":
			p.generateName = c.text("metadata.generateName")
		case "labels":
			p.use = nil
			for in := c.enter('{', "metadata.labels"); in && c.key(); {
				if string(c.name) == wi.UseLabel {
					p.use = c.text("label " + wi.UseLabel)
				} else {
					c.skip()
				}
			}
		case "annotations":
			p.readAnnotations(c)
		default:
			c.skip()
		}
	}
}

func (p *pod) readAnnotations(c *cursor) {
	p.annotations, p.noteBytes = absent, 0
	clear(p.noted)
	if !c.enter('{', "metadata.annotations") {
		return
	}
	p.annotations = present
	for c.key() {
		name := c.name
		value := c.text("an annotation")
		p.noteBytes += len(name) + len(value)
		if bytes.HasPrefix(name, []byte(wi.Prefix)) || bytes.HasPrefix(name, []byte(wi.OwnPrefix)) || string(name) == mirrorNote {
			p.noted[string(name)] = string(value)
		}
	}
}

func (p *pod) readSpec(c *cursor) {
	p.account, p.oldAccount, p.hostNetwork, p.windows = nil, nil, false, false
	p.volumeState, p.volumes, p.aliasState, p.aliases = absent, nil, absent, nil
	p.inits, p.containers = list{path: p.inits.path}, list{path: p.containers.path}
	p.spec = c.enter('{', "spec")
	for p.spec && c.key() {
		switch string(c.name) {
		case "serviceAccountName":
			p.account = c.text("spec.serviceAccountName")
		case "serviceAccount":
			p.oldAccount = c.text("spec.serviceAccount")
		case "hostNetwork":
			p.hostNetwork = c.truth("spec.hostNetwork")
		case "os":
			p.readOS(c, "spec.os", "name")
		case "nodeSelector":
			p.readOS(c, "spec.nodeSelector", osSelector)
		case "volumes":
			p.readVolumes(c)
		case "hostAliases":
			p.readAliases(c)
		case "initContainers":
			p.inits.read(c)
		case "containers":
			p.containers.read(c)
		default:
			c.skip()
		}
	}
}

func (p *pod) readOS(c *cursor, what, key string) {
	for in := c.enter('{', what); in && c.key(); {
		if string(c.name) == key {
			windows := string(c.text(what)) == "windows"
			p.windows = p.windows || windows
		} else {
			c.skip()
		}
	}
}

func (p *pod) readVolumes(c *cursor) {
	p.volumeState, p.volumes = absent, nil
	if !c.enter('[', "spec.volumes") {
		return
	}
	p.volumeState = present
	for c.elem() {
		var v volume
		for in := c.enter('{', "a volume"); in && c.key(); {
			switch string(c.name) {
			case "name":
				v.name = c.text("a volume's name")
			case "projected":
				v.readProjected(c)
			default:
				v.kind = c.name
				v.source = c.skip()
			}
		}
		p.volumes = append(p.volumes, v)
	}
}

func (v *volume) readProjected(c *cursor) {
	v.projected, v.sources = nil, nil
	c.peek()
	start := c.i
	if !c.enter('{', "projected") {
		return
	}
	for c.key() {
		if string(c.name) == "sources" {
			v.sources = c.skip()
		} else {
			c.skip()
		}
	}
	v.projected = c.b[start:c.i]
}

func (p *pod) readAliases(c *cursor) {
	p.aliasState, p.aliases = absent, nil
	if !c.enter('[', "spec.hostAliases") {
		return
	}
	p.aliasState = present
	for c.elem() {
		var a alias
		for in := c.enter('{', "a host alias"); in && c.key(); {
			switch string(c.name) {
			case "ip":
				a.ip = c.text("a host alias's ip")
			case "hostnames":
				a.names, a.listed = nil, absent
				if !c.enter('[', "a host alias's names") {
					continue
				}
				for a.listed = present; c.elem(); {
					a.names = append(a.names, c.text("a host alias's name"))
				}
			default:
				c.skip()
			}
		}
		p.aliases = append(p.aliases, a)
	}
}

// serviceAccount is the name of the pod's service account.
func (p *pod) serviceAccount() string {
	switch {
	case len(p.account) > 0:
		return string(p.account)
	case len(p.oldAccount) > 0:
		return string(p.oldAccount)
	}
	return "default"
}

// clip shortens what a user wrote for a message.
func clip[T string | []byte](s T) string {
	if len(s) > 48 {
		return strings.ToValidUTF8(string(s[:45]), "") + "..."
	}
	return string(s)
}
