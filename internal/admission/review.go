package admission

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// The versions of AdmissionReview that are understood.
const (
	reviewV1      = "admission.k8s.io/v1"
	reviewV1beta1 = "admission.k8s.io/v1beta1"
)

// review is what is read of an AdmissionReview's request.
// https://kubernetes.io/docs/reference/config-api/apiserver-admission.v1/
type review struct {
	version     string
	kind        string
	asked       bool // has a request
	uid         string
	operation   string
	group       string // of the object
	objectKind  string
	subresource string
	namespace   string
	object      []byte
}

func readReview(body []byte, v *review) error {
	if len(body) == 0 {
		return apierr.New(apierr.Invalid, "the request has no body")
	}
	if !json.Valid(body) {
		return apierr.New(apierr.Invalid, "the body is not valid JSON")
	}
	c := &cursor{b: body}
	version := ""
	for in := c.enter('{', "the review"); in && c.key(); {
		switch string(c.name) {
		case "apiVersion":
			version = string(c.text("apiVersion"))
		case "kind":
			v.kind = string(c.text("kind"))
		case "request":
			v.readRequest(c)
		default:
			c.skip()
		}
	}
	if version == reviewV1beta1 {
		v.version = version
	}
	switch {
	case c.err != nil:
	case v.kind != "AdmissionReview":
		c.fail("the body is not an AdmissionReview")
	case version != reviewV1 && version != reviewV1beta1:
		c.fail("AdmissionReview of version %q is not understood: send %s or %s", clip(version), reviewV1, reviewV1beta1)
	case !v.asked || v.uid == "":
		c.fail("the review has no request with a uid")
	}
	return c.err
}

func (v *review) readRequest(c *cursor) {
	v.asked = c.enter('{', "request")
	for v.asked && c.key() {
		switch string(c.name) {
		case "uid":
			v.uid = string(c.text("request.uid"))
		case "operation":
			v.operation = string(c.text("request.operation"))
		case "kind":
			for in := c.enter('{', "request.kind"); in && c.key(); {
				switch string(c.name) {
				case "group":
					v.group = string(c.text("request.kind.group"))
				case "kind":
					v.objectKind = string(c.text("request.kind.kind"))
				default:
					c.skip()
				}
			}
		case "subResource":
			v.subresource = string(c.text("request.subResource"))
		case "namespace":
			v.namespace = string(c.text("request.namespace"))
		case "object":
			v.object = c.skip()
		default:
			c.skip()
		}
	}
}

// answer writes the AdmissionReview that allows with a patch, or refuses with err.
func (v *review) answer(p Patch, err error) []byte {
	b := make([]byte, 0, 512)
	b = append(b, `{"kind":"AdmissionReview","apiVersion":"`...)
	b = append(b, v.version...)
	b = append(b, `","response":{"uid":`...)
	b = append(b, quote(v.uid)...)
	if err != nil {
		code, reason := status(apierr.KindOf(err))
		b = append(b, `,"allowed":false,"status":{"status":"Failure","message":`...)
		b = append(b, quote(detail(err))...)
		b = append(b, `,"reason":"`+reason+`","code":`+strconv.Itoa(code)+`}}}`...)
		return b
	}
	b = append(b, `,"allowed":true`...)
	if len(p.Ops) > 0 {
		b = append(b, `,"patchType":"JSONPatch","patch":"`...)
		b = base64.StdEncoding.AppendEncode(b, p.JSON())
		b = append(b, '"')
	}
	if len(p.Warnings) > 0 {
		var items [][]byte
		for _, w := range p.Warnings {
			items = append(items, quote(w))
		}
		b = append(b, `,"warnings":`...)
		b = append(b, array(items)...)
	}
	return append(b, `,"status":{"code":200}}}`...)
}

// status is the code and reason of a Kubernetes Status: 400 says that the pod or
// the request must change, 500 that it need not.
func status(k apierr.Kind) (int, string) {
	switch k {
	case apierr.Invalid, apierr.NotFound:
		return 400, "BadRequest"
	case apierr.TooLarge:
		return 413, "RequestEntityTooLarge"
	}
	return 500, "InternalError"
}

func detail(err error) string {
	if apierr.KindOf(err) == apierr.Internal {
		return "the webhook met an internal error: its log has the cause"
	}
	return apierr.Detail(err)
}
