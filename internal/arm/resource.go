package arm

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// resource is any resource in an answer.
type resource struct {
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	Type       string             `json:"type"`
	ETag       string             `json:"eTag,omitempty"` // of the types that repeat it here
	Location   string             `json:"location,omitempty"`
	Tags       *map[string]string `json:"tags,omitempty"` // {} for a tracked resource without any
	ManagedBy  string             `json:"managedBy,omitempty"`
	System     *systemData        `json:"systemData,omitempty"`
	SKU        any                `json:"sku,omitempty"`      // of the types that have one beside the properties
	Identity   any                `json:"identity,omitempty"` // likewise
	Properties any                `json:"properties,omitempty"`
}

// systemData is https://learn.microsoft.com/rest/api/resources: who wrote it, and when.
type systemData struct {
	CreatedBy      string `json:"createdBy,omitempty"`
	CreatedByType  string `json:"createdByType,omitempty"`
	CreatedAt      string `json:"createdAt,omitempty"`
	ModifiedBy     string `json:"lastModifiedBy,omitempty"`
	ModifiedByType string `json:"lastModifiedByType,omitempty"`
	ModifiedAt     string `json:"lastModifiedAt,omitempty"`
}

// input is the body of a PUT or PATCH. Members that only the server sets (id,
// name, type, systemData) are ignored: clients send back what they read.
type input struct {
	Location   *string         `json:"location"`
	Tags       tagSet          `json:"tags"`
	ManagedBy  *string         `json:"managedBy"`
	SKU        json.RawMessage `json:"sku"`
	Identity   json.RawMessage `json:"identity"`
	Properties json.RawMessage `json:"properties"`

	patch bool
	old   model.Object // nil: it is made
	// common has the members of every resource, ready for the new object.
	common model.Resource
}

// change is the result of a row's put.
type change struct {
	object model.Object
	more   []store.Op // in the same commit
	// undo takes the change back when the holder vanished meanwhile; nil deletes the
	// new object.
	undo func(rev int64) []store.Op
	// confirm judges the change in a view from after the commit; an error takes it back.
	confirm func(v *store.View, rev int64) error
	// after runs when it is written, before the answer; nil: nothing does.
	after func()
}

func (c *call) get() error {
	e, err := c.entry()
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, e)
}

// reply answers with one resource and its ETag.
func (c *call) reply(status int, e *store.Entry) error {
	tag := etag(e.Rev)
	c.w.Header().Set("ETag", tag)
	if c.r.Method == http.MethodGet && matches(c.r.Header.Values("If-None-Match"), tag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return httpx.WriteJSON(c.w, status, c.show(c.row, e))
}

// show is a stored object in an answer.
func (c *call) show(r *row, e *store.Entry) *resource {
	out := &resource{Type: r.typ}
	if r.showETag {
		out.ETag = etag(e.Rev)
	}
	if of, ok := e.Value.(interface{ Common() *model.Resource }); ok {
		common := of.Common()
		out.ID, out.Name, out.Location = common.ID, common.Name, common.Location
		out.System = showSystem(&common.System)
		if r.tracked {
			tags := common.Tags
			if tags == nil {
				tags = map[string]string{}
			}
			out.Tags = &tags
		}
	}
	r.shape(c, e.Value, out)
	return out
}

func showSystem(s *model.System) *systemData {
	return &systemData{
		CreatedBy: s.CreatedBy, CreatedByType: s.CreatedByType, CreatedAt: wireTime(s.CreatedAt),
		ModifiedBy: s.ModifiedBy, ModifiedByType: s.ModifiedByType, ModifiedAt: wireTime(s.ModifiedAt),
	}
}

func wireTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.0000000Z")
}

// input reads the body, once.
func (c *call) input() (*input, error) {
	if c.in == nil {
		c.in = &input{patch: c.r.Method == http.MethodPatch}
		c.inErr = httpx.ReadJSON(c.r, c.in)
	}
	return c.in, c.inErr
}

// write is PUT and PATCH of any stored type.
func (c *call) write() error {
	in, err := c.input()
	if err != nil {
		return err
	}
	old := c.view.Get(c.id.Key())
	if err := c.precondition(old); err != nil {
		return err
	}
	in.old = nil
	switch {
	case old != nil:
		in.old = old.Value
	case in.patch:
		return c.notFound(c.id)
	case c.row.checkName != nil:
		if err := c.row.checkName(c.id.Name()); err != nil {
			return err
		}
	}
	if err := c.fillCommon(in); err != nil {
		return err
	}

	ch, err := c.row.put(c, in)
	if err != nil {
		return err
	}
	rev, err := c.commit(ch, old)
	if err != nil {
		return err
	}

	if ch.after != nil {
		ch.after()
	}
	status := http.StatusOK
	if old == nil {
		status = http.StatusCreated
		if c.row.created != 0 {
			status = c.row.created
		}
	}
	return c.reply(status, &store.Entry{Key: ch.object.Key(), Value: ch.object, Rev: rev})
}

// commit writes a change at the revision that it was decided on.
func (c *call) commit(ch *change, old *store.Entry) (int64, error) {
	ops := append([]store.Op{{Value: ch.object, Rev: revision(old)}}, ch.more...)
	rev, err := c.s.store.Commit(c.r.Context(), ops...)
	if err != nil {
		return 0, err
	}
	if old != nil {
		return rev, nil
	}
	return rev, c.confirm(ch, ops, rev)
}

// confirm takes the change back if its holder was deleted at the same time: that
// deletion may have swept before the write came.
func (c *call) confirm(ch *change, ops []store.Op, rev int64) error {
	v, err := c.s.store.View()
	if err != nil {
		return err
	}
	var refused error
	if c.holder != nil {
		if now := v.Get(c.holder.Key); now == nil || now.CreateRev != c.holder.CreateRev {
			refused = fail(conflict, "'%s' was deleted while this request was made below it.", c.holder.Key)
		}
	}
	if refused == nil && ch.confirm != nil {
		refused = ch.confirm(v, rev)
	}
	if refused == nil {
		return nil
	}
	undo := madeBy(ops, rev)
	if ch.undo != nil {
		undo = ch.undo(rev)
	}
	if _, err := c.s.store.Commit(c.r.Context(), undo...); err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	return refused
}

// madeBy deletes what a commit made.
func madeBy(ops []store.Op, rev int64) []store.Op {
	var undo []store.Op
	for _, op := range ops {
		if op.Value != nil && op.Rev == 0 {
			undo = append(undo, store.Op{Key: op.Value.Key(), Rev: rev})
		}
	}
	return undo
}

func revision(e *store.Entry) int64 {
	if e == nil {
		return 0
	}
	return e.Rev
}

// delete is DELETE of any stored type: 200, or 204 when there was nothing.
func (c *call) delete() error {
	e := c.view.Get(c.id.Key())
	if err := c.precondition(e); err != nil {
		return err
	}
	if e == nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err := c.s.commitAll(c.r.Context(), c.row.removal(c.s, c.view, e)); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// removal is the writes that delete an object.
func (r *row) removal(s *Server, v *store.View, e *store.Entry) []store.Op {
	if r != nil && r.remove != nil {
		return r.remove(s, v, e)
	}
	return []store.Op{{Key: e.Key, Rev: e.Rev}, {Key: e.Key + "/", Rev: store.Any, Tree: true}}
}

// etag is a revision as a client sees it.
func etag(rev int64) string { return `"` + strconv.FormatInt(rev, 10) + `"` }

// precondition judges If-Match and If-None-Match against the resource as it is.
// The commit that follows is bound to the same revision.
// https://www.rfc-editor.org/rfc/rfc9110#section-13.1
func (c *call) precondition(e *store.Entry) error {
	tag := ""
	if e != nil {
		tag = etag(e.Rev)
	}
	if h := c.r.Header.Values("If-Match"); len(h) > 0 && !matches(h, tag) {
		return fail(preconditionFailed, "The condition in the If-Match header does not hold: the resource has ETag %s.", orNone(tag))
	}
	if h := c.r.Header.Values("If-None-Match"); len(h) > 0 && matches(h, tag) {
		return fail(preconditionFailed, "The condition in the If-None-Match header does not hold: the resource has ETag %s.", orNone(tag))
	}
	return nil
}

func orNone(tag string) string {
	if tag == "" {
		return "none, it does not exist"
	}
	return tag
}

func matches(headers []string, tag string) bool {
	if tag == "" {
		return false
	}
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
			if part == "*" || part == tag || `"`+part+`"` == tag {
				return true
			}
		}
	}
	return false
}
