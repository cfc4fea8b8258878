package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// HandlerConfig for New.
type HandlerConfig struct {
	Current  func() *Config // asked by every request; what it gives has passed Validate
	Accounts Accounts

	// Federated tells whether a federated credential of the identity trusts the
	// subject; ok is false when that cannot be known. Nil means never known.
	Federated func(ctx context.Context, clientID, subject string) (known, ok bool)

	// Memory is the bytes of large reviews that are done at a time; handlers may
	// share it. Others wait, within their time. Nil is MaxMemory of its own.
	Memory *semaphore.Weighted

	Metrics *Metrics      // nil counts nothing
	Log     *slog.Logger  // one event per request; nil is silent
	Timeout time.Duration // of one review, at most what the API server grants; default 5 s
	Now     func() time.Time
}

// Path is where New's handler answers.
const Path = "/mutate-v1-pod"

// MaxMemory is two of the largest reviews.
const MaxMemory = 2 * maxBody

const (
	maxBody       = 7 << 20
	maxSmall      = 64 << 10 // as nearly all reviews are; they wait for none
	maxPooled     = 1 << 20
	federatedWait = time.Second
)

// New serves POST /mutate-v1-pod. It answers AdmissionReview v1 and v1beta1 in
// the version asked; a refusal is an answer with allowed false, as upstream's.
// The server around it limits the time that a request may take to arrive.
func New(c HandlerConfig) http.Handler {
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Memory == nil {
		c.Memory = semaphore.NewWeighted(MaxMemory)
	}
	h := &handler{HandlerConfig: c}
	h.buffers.New = func() any { return new(bytes.Buffer) }
	mux := http.NewServeMux()
	mux.Handle("POST "+Path, h)
	return mux
}

type handler struct {
	HandlerConfig
	buffers sync.Pool // of *bytes.Buffer
}

// event is what is known of a request at its end. Its strings are its own.
type event struct {
	review  review
	pod     string
	account string
	patch   Patch
	phase   string // the last one entered; the reason of a refusal
	skipped bool
	err     error
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.Now()
	ctx, cancel := context.WithTimeout(r.Context(), h.limit(r))
	defer cancel()
	body := h.buffers.Get().(*bytes.Buffer)
	body.Reset()

	e := &event{review: review{version: reviewV1}}
	weight, err := h.reserve(ctx, r)
	defer h.Memory.Release(weight)
	if err != nil {
		e.phase, e.err = "memory", err
	} else {
		h.decide(ctx, w, r, body, e)
	}
	answer := e.review.answer(e.patch, e.err)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)

	if body.Cap() <= maxPooled {
		h.buffers.Put(body)
	}
	h.finish(ctx, e, h.Now().Sub(start))
}

// limit is the time for a review: ours, or the API server's if that is less.
func (h *handler) limit(r *http.Request) time.Duration {
	if d, err := time.ParseDuration(r.URL.Query().Get("timeout")); err == nil && d > 0 {
		return min(d, h.Timeout)
	}
	return h.Timeout
}

// reserve waits for the memory that a large review takes.
func (h *handler) reserve(ctx context.Context, r *http.Request) (weight int64, err error) {
	weight = r.ContentLength
	switch {
	case weight >= 0 && weight <= maxSmall || weight > maxBody: // the latter is not read
		return 0, nil
	case weight < 0:
		weight = maxBody
	}
	if err := h.Memory.Acquire(ctx, weight); err != nil {
		return 0, apierr.Wrap(err, apierr.Unavailable, "too many large reviews at a time: try again")
	}
	return weight, nil
}

// decide fills e; a panic is a failure of this request only.
func (h *handler) decide(ctx context.Context, w http.ResponseWriter, r *http.Request, body *bytes.Buffer, e *event) {
	defer func() {
		if v := recover(); v != nil {
			e.phase = "panic"
			e.patch = Patch{}
			e.err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	e.phase = "read"
	if e.err = read(w, r, body); e.err != nil {
		return
	}
	e.phase = "review"
	if e.err = readReview(body.Bytes(), &e.review); e.err != nil {
		return
	}
	e.patch, e.err = h.admit(ctx, e)
}

func read(w http.ResponseWriter, r *http.Request, body *bytes.Buffer) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return apierr.New(apierr.Invalid, "the content type is %q, not application/json", clip(r.Header.Get("Content-Type")))
	}
	if r.ContentLength > maxBody {
		return apierr.New(apierr.TooLarge, "the review is larger than %d bytes", maxBody)
	}
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead) // no second buffer beside the first
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return apierr.Wrap(err, apierr.TooLarge, "the review is larger than %d bytes", maxBody)
	}
	if err != nil {
		return apierr.Wrap(err, apierr.Invalid, "the review did not arrive whole")
	}
	return nil
}

// admit decides on a review. The API server selects the pods; that is checked
// again, so that a configuration that selects too much changes nothing.
func (h *handler) admit(ctx context.Context, e *event) (Patch, error) {
	v := &e.review
	if v.objectKind != "" && (v.objectKind != "Pod" || v.group != "") {
		return Patch{}, apierr.New(apierr.Invalid, "the webhook is for pods, not for %s: mend the webhook configuration's rules", clip(v.objectKind))
	}
	if v.operation != "CREATE" || v.subresource != "" {
		return e.skip("operation")
	}
	e.phase = "pod"
	if len(v.object) == 0 || v.object[0] != '{' {
		return Patch{}, apierr.New(apierr.Invalid, "the review has no pod")
	}
	p, err := readPod(v.object)
	if err != nil {
		return Patch{}, err
	}
	e.pod = string(p.name)
	if e.pod == "" {
		e.pod = string(p.generateName)
	}
	c := h.Current()
	if use := string(p.use); use != "true" && (!c.Unlabelled || use == "false") {
		return e.skip("label")
	}
	if _, mirror := p.noted[mirrorNote]; mirror {
		return e.skip("mirror")
	}
	e.phase = "account"
	account, err := h.account(ctx, v.namespace, p.serviceAccount())
	if err != nil {
		return Patch{}, err
	}
	e.account = account.Name
	e.phase = "values"
	patch, err := mutate(c, p, v.namespace, account)
	if err != nil {
		return Patch{}, err
	}
	h.warnOfFederation(ctx, &patch)
	return patch, nil
}

func (e *event) skip(reason string) (Patch, error) {
	e.phase, e.skipped = reason, true
	return Patch{}, nil
}

func (h *handler) account(ctx context.Context, namespace, name string) (Account, error) {
	a, err := h.Accounts.Account(ctx, namespace, name)
	switch {
	case errors.Is(err, ErrNoAccount):
		return Account{}, apierr.Wrap(err, apierr.NotFound, "namespace %s has no service account %s: create it first", clip(namespace), clip(name))
	case err != nil:
		return Account{}, apierr.Wrap(err, apierr.Unavailable, "the webhook could not read service account %s: try again", clip(name))
	}
	a.Namespace, a.Name = namespace, name
	return a, nil
}

func (h *handler) warnOfFederation(ctx context.Context, p *Patch) {
	if h.Federated == nil || p.Subject == "" || !isGUID(p.ClientID) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, federatedWait)
	defer cancel()
	if known, ok := h.Federated(ctx, p.ClientID, p.Subject); ok && !known {
		p.Warnings = bound(append(p.Warnings, fmt.Sprintf("no federated credential of identity %s trusts %s", p.ClientID, p.Subject)))
	}
}

// finish counts and logs the request.
func (h *handler) finish(ctx context.Context, e *event, took time.Duration) {
	outcome, reason, level := e.outcome()
	h.Metrics.observe(outcome, reason, took, e.patch.Touched)
	attrs := []slog.Attr{
		slog.String("uid", e.review.uid), slog.String("namespace", e.review.namespace), slog.String("pod", e.pod),
		slog.String("account", e.account), slog.String("client_id", e.patch.ClientID), slog.String("outcome", outcome),
		slog.String("reason", reason), slog.Int("operations", len(e.patch.Ops)), slog.Duration("took", took),
	}
	if e.err != nil {
		attrs = append(attrs, slog.Any("err", e.err))
	}
	h.Log.LogAttrs(ctx, level, "reviewed pod", attrs...)
}

func (e *event) outcome() (outcome, reason string, level slog.Level) {
	switch {
	case e.err != nil && e.phase != "panic" && !ours(e.err):
		return "denied", e.phase, slog.LevelWarn
	case e.err != nil:
		return "failed", e.phase, slog.LevelError
	case e.skipped:
		return "skipped", e.phase, slog.LevelDebug
	case len(e.patch.Ops) == 0:
		return "unchanged", "", slog.LevelInfo
	}
	return "patched", "", slog.LevelInfo
}

// ours tells the webhook's own failures from refusals.
func ours(err error) bool {
	code, _ := status(apierr.KindOf(err))
	return code == http.StatusInternalServerError
}
