package sts

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// The pages that people see: plain HTML, nothing that runs, nothing from elsewhere.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// kind is which page it is.
type kind string

const (
	kindLogin   kind = "login"
	kindAccount kind = "account"
	kindChange  kind = "change"
	kindCode    kind = "code"
	kindSend    kind = "send"
	kindLogout  kind = "logout"
	kindMessage kind = "message"
	kindError   kind = "error"
)

// content is what a page says. Texts from outside are escaped by the template.
type content struct {
	Kind     kind
	Title    string
	Client   string // that asks to sign in
	Remote   string // of a device
	User     string
	UserCode string
	Failure  string // what was wrong with the form
	Failed   bool   // the client is told of an error
	Message  string
	Code     string // of an error
	Request  string // id
	Action   string // of the form
	To       string // origin that the form's answer leads to, besides our own
	Fields   []field

	// Set by the rendering.
	Domain, CSRF string
	Style        template.CSS
}

// field is a hidden one.
type field struct{ Name, Value string }

// pages renders content.
type pages struct {
	template *template.Template
	styleSrc string // of the policy: our own style and no other
}

func newPages() *pages {
	sum := sha256.Sum256([]byte(pageCSS))
	return &pages{
		template: template.Must(template.New("page").Parse(pageHTML)),
		styleSrc: "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}
}

// isPage says whether a path is of a page: its errors are for a person.
func isPage(r *http.Request) bool {
	p := r.URL.Path
	return p == "/devicelogin" || p == devicePath || strings.HasSuffix(p, "/oauth2/v2.0/login") ||
		strings.HasSuffix(p, "/oauth2/v2.0/authorize") || strings.HasSuffix(p, "/oauth2/v2.0/logout")
}

// setPageHeader keeps a page to itself: not kept, not framed, not named to others.
func setPageHeader(h http.Header) {
	setNoStore(h)
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer: browsers would then send forms without an origin.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Content-Type", "text/html; charset=utf-8")
}

// show renders a page.
func (v *visit) show(c *content) error {
	c.CSRF = v.token()
	status := http.StatusOK
	if c.Failure != "" {
		status = http.StatusBadRequest
	}
	return v.s.render(v.w, v.r, status, c)
}

func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, c *content) error {
	c.Domain, c.Style, c.Request = s.domain, template.CSS(pageCSS), obs.RequestFrom(r.Context()).ID //nolint:gosec // our own file
	// A browser applies form-action to what a form's answer redirects to as well.
	policy := "default-src 'none'; style-src " + s.pages.styleSrc + "; form-action 'self'"
	if c.To != "" {
		policy += " " + c.To
	}
	w.Header().Set("Content-Security-Policy", policy+"; base-uri 'none'; frame-ancestors 'none'")
	var b bytes.Buffer
	if err := s.pages.template.Execute(&b, c); err != nil {
		return fmt.Errorf("rendering a page: %w", err)
	}
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

// front says to a person what this host is; a program is told that nothing is here.
func (s *Server) front(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Accept")
	if !strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/html") {
		return apierr.New(apierr.NotFound, "There is nothing at this path.")
	}
	setPageHeader(w.Header())
	return s.render(w, r, http.StatusOK, &content{
		Kind: kindMessage, Title: "Nothing to do here",
		Message: "This is where programs sign in, and where they send people who are to sign in: start from such a program, for example with az login. " +
			"For a code that a device or a command line shows, go to /devicelogin.",
	})
}

// writeErrorPage is writeError for a person.
func (s *Server) writeErrorPage(w http.ResponseWriter, r *http.Request, c *code, err error) {
	setPageHeader(w.Header())
	httpx.SetCode(r, c.Error())
	page := &content{Kind: kindError, Title: "This did not work", Message: sentence(apierr.Detail(err)), Code: c.Error()}
	if err := s.render(w, r, c.status, page); err != nil {
		s.log.DebugContext(r.Context(), "did not send an error page", "error", err)
	}
}
