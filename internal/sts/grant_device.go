package sts

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/limit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Limits of the device code grant. https://www.rfc-editor.org/rfc/rfc8628
const (
	deviceLife     = 15 * time.Minute
	deviceInterval = 5 * time.Second
	deviceSlack    = time.Second // by which a poll may come early
	maxDevices     = 2000        // that wait at one time
	maxOwnDevices  = 400         // of them, that one site asked for
	userCodeLength = 9
	// userCodeLetters make no words, and are not taken for each other.
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
)

// deviceGrant is a device's poll for a sign-in elsewhere. It gives a token once.
var deviceGrant = grant{
	name:       "urn:ietf:params:oauth:grant-type:device_code",
	people:     true,
	publicOnly: true,
	reason:     "The user approved the device on the page.",
	find:       (*Server).findDevice,
}

// newUserCode draws one of 5·10^11: with maxDevices waiting and the limit on
// attempts, guessing one takes years.
func newUserCode() string {
	code := make([]byte, 0, userCodeLength)
	var b [1]byte
	for len(code) < userCodeLength {
		rand.Read(b[:])
		if n := int(b[0]); n < 240 { // a multiple of 20: every letter is as likely
			code = append(code, userCodeLetters[n%len(userCodeLetters)])
		}
	}
	return string(code)
}

// readUserCode takes a code as people type it.
func readUserCode(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToUpper(s[:min(len(s), 4*userCodeLength)]))
}

// deviceBody answers a request for a device code.
type deviceBody struct {
	UserCode   string `json:"user_code"`
	DeviceCode string `json:"device_code"`
	Page       string `json:"verification_uri"`
	Expires    int    `json:"expires_in"`
	Interval   int    `json:"interval"`
	Message    string `json:"message"`
}

// deviceCode begins a sign-in on another device.
func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if wait := s.limits.deviceCodes.Take(source(ctx)); wait > 0 {
		return tooMany("requests for device codes", wait)
	}
	if _, err := s.tenant(r.PathValue("tenant")); err != nil {
		return err
	}
	q := &request{grant: &deviceGrant}
	q.family, _ = httpx.Target(r)
	if err := s.readDevice(r, q); err != nil {
		return err
	}
	device := rand.Text() + rand.Text()
	d := &model.DeviceCode{
		ID: model.TokenID(device), UserCode: newUserCode(), ClientID: strings.ToLower(q.clientID),
		Scope: q.form.Get("scope"), Remote: obs.RequestFrom(ctx).Remote, Expires: s.now().UTC().Add(deviceLife),
	}
	ops, err := s.roomForDevice(q.view, source(ctx))
	if err != nil {
		return err
	}
	if _, err := s.store.Commit(ctx, append(ops, store.Op{Value: d})...); err != nil {
		return err
	}
	setNoStore(w.Header())
	page := q.family.LoginURL() + devicePath
	return httpx.WriteJSON(w, http.StatusOK, deviceBody{
		UserCode: d.UserCode, DeviceCode: device, Page: page, Expires: int(deviceLife / time.Second), Interval: int(deviceInterval / time.Second),
		Message: "To sign in, use a web browser to open the page " + page + " and enter the code " + d.UserCode + " to authenticate.",
	})
}

func (s *Server) readDevice(r *http.Request, q *request) (err error) {
	if q.form, err = readForm(r); err != nil {
		return err
	}
	if q.clientID = q.form.Get("client_id"); q.clientID == "" {
		return missing("client_id")
	}
	if err := q.readScope(); err != nil {
		return err
	}
	if err := s.findPublic(r.Context(), q); err != nil {
		return err
	}
	return s.allowed(q.view, q.resource())
}

// roomForDevice deletes codes that nobody will ask for any more. Expired ones
// stay for a while, so that their device is told so.
func (s *Server) roomForDevice(view *store.View, from limit.Source) (ops []store.Op, err error) {
	waiting, own, now := 0, 0, s.now()
	for e := range view.Prefix(model.DeviceCodesKey, "") {
		d, ok := e.Value.(*model.DeviceCode)
		switch {
		case !ok:
		case now.Before(d.Expires):
			waiting++
			if from.SameSite(limit.SourceOf(d.Remote)) {
				own++
			}
		case now.After(d.Expires.Add(deviceLife)) && len(ops) < store.MaxOps/2:
			ops = append(ops, store.Op{Key: e.Key, Rev: store.Any})
		}
	}
	if own >= maxOwnDevices {
		return nil, apierr.New(apierr.Throttled, "Too many devices wait for a sign-in that was asked for from this address. Try again later.")
	}
	if waiting >= maxDevices {
		return nil, apierr.New(apierr.Throttled, "Too many devices wait for a sign-in. Try again later.")
	}
	return ops, nil
}

func (s *Server) findDevice(_ context.Context, q *request) (subject, error) {
	text := q.form.Get("device_code")
	if text == "" {
		text = q.form.Get("code") // MSAL sends both, older clients this one
	}
	if text == "" {
		return nil, missing("device_code")
	}
	id := model.TokenID(text)
	d, rev, ok := store.Get[*model.DeviceCode](q.view, model.DeviceCodeKey(id))
	if !ok || d.ClientID != strings.ToLower(q.clientID) {
		return nil, refuse(codeGrantUnknown, "The provided device code was used, has expired, or was not issued to this client.")
	}
	early := s.polls.early(id, s.now())
	switch {
	case !s.now().Before(d.Expires):
		return nil, refuse(codeDeviceExpired, "OAuth 2.0 device flow error. The code has expired: ask for another.")
	case d.Declined:
		return nil, refuse(codeDeviceDeclined, "OAuth 2.0 device flow error. The sign-in was declined.")
	case d.UserID == "" && early:
		return nil, refuse(codeDeviceEarly, "OAuth 2.0 device flow error. Polling too often: the interval is %d seconds.", int(deviceInterval/time.Second))
	case d.UserID == "":
		return nil, refuse(codeDevicePending, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	var err error
	if q.scope, err = readUserScope(d.Scope); err != nil {
		return nil, err
	}
	return s.newPerson(q, func(ctx context.Context, p *personSubject) error { return s.redeemDevice(ctx, p, d, rev) })
}

func (s *Server) redeemDevice(ctx context.Context, p *personSubject, d *model.DeviceCode, rev int64) error {
	if err := p.signedIn(s.people.Resume(p.view, d.UserID, d.Stamp)); err != nil {
		return err
	}
	_, ops := p.begin("device_code")
	_, err := s.store.Commit(ctx, append(ops, store.Op{Key: d.Key(), Rev: rev})...)
	if errors.Is(err, store.ErrConflict) {
		return refuse(codeGrantUsed, "The provided device code was already redeemed.")
	}
	return err
}

// polls remembers when each device asked last, on this replica. The zero value is ready.
type polls struct {
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu; by device code id
}

// early says whether a device asks before its interval has passed.
func (p *polls) early(id string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, seen := p.last[id]
	if p.last == nil || len(p.last) > maxDevices {
		p.last = map[string]time.Time{}
	}
	p.last[id] = now
	return seen && now.Sub(last) < deviceInterval-deviceSlack
}
