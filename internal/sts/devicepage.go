package sts

import (
	"errors"
	"net/http"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// devicePath is our page for device codes.
const devicePath = "/common/oauth2/deviceauth"

// devicePage asks for the code that a device shows.
func (s *Server) devicePage(w http.ResponseWriter, r *http.Request) error {
	return s.visit(w, r).show(codePage(""))
}

func codePage(failure string) *content {
	return &content{Kind: kindCode, Title: "Enter the code", Action: devicePath, Failure: failure}
}

// deviceApprove takes the code, then the sign-in: signing in on the page that
// names the device's client is the approval.
func (s *Server) deviceApprove(w http.ResponseWriter, r *http.Request) error {
	v := s.visit(w, r)
	if err := v.read(); err != nil {
		return err
	}
	d, rev, err := v.device()
	if err != nil {
		return err
	}
	if d == nil {
		return v.show(codePage("No device waits with this code. It may have expired, or been used: look at the device again."))
	}
	view, err := s.store.View()
	if err != nil {
		return err
	}
	client, err := s.signInClient(view, d.ClientID)
	if err != nil {
		return err
	}
	page := &content{
		Kind: kindLogin, Title: "Sign in", Client: client.name, Remote: d.Remote, Action: devicePath, UserCode: d.UserCode,
	}
	switch v.form.Get("action") {
	case actionCancel:
		next := *d
		next.Declined = true
		return v.settle(&next, rev, "You declined. The other device is not signed in.")
	case actionSignIn, actionContinue:
	default:
		if user := v.remembered(); user != nil && v.form.Get("action") != actionOther {
			page.Kind, page.Title, page.User = kindAccount, "Choose an account", user.UPN
		}
		return v.show(page)
	}
	user, again, err := v.signIn(client, page)
	if err != nil {
		return err
	}
	if again != nil {
		return v.show(again)
	}
	next := *d
	next.UserID, next.Stamp = user.ObjectID, user.Stamp
	return v.settle(&next, rev, "You have signed in to "+client.name+" on your device. You may close this page.")
}

// device finds the device whose code the form has, if it still waits. Attempts are
// counted before: a right guess beyond the limit is none.
func (v *visit) device() (*model.DeviceCode, int64, error) {
	from := source(v.r.Context())
	if wait := v.s.limits.deviceCodes.Take(from); wait > 0 {
		return nil, 0, tooMany("device codes", wait)
	}
	view, err := v.s.store.Fresh(v.r.Context())
	if err != nil {
		return nil, 0, err
	}
	e := view.First(model.UserCodeIndex(readUserCode(v.form.Get("user_code"))))
	if e == nil {
		return nil, 0, nil
	}
	d, ok := e.Value.(*model.DeviceCode)
	if !ok || d.Declined || d.UserID != "" || !v.s.now().Before(d.Expires) {
		return nil, 0, nil
	}
	v.s.limits.deviceCodes.Give(from)
	return d, e.Rev, nil
}

// settle stores the person's answer. A second one is refused.
func (v *visit) settle(d *model.DeviceCode, rev int64, message string) error {
	_, err := v.s.store.Put(v.r.Context(), d, rev)
	if errors.Is(err, store.ErrConflict) {
		return v.show(codePage("This code was just used."))
	}
	if err != nil {
		return err
	}
	title := "Signed in"
	if d.Declined {
		title = "Declined"
	}
	return v.show(&content{Kind: kindMessage, Title: title, Message: message})
}

// logoutPage asks before it signs out: any site can send a browser here. It does not
// heed post_logout_redirect_uri.
// https://openid.net/specs/openid-connect-rpinitiated-1_0.html
func (s *Server) logoutPage(w http.ResponseWriter, r *http.Request) error {
	form, err := s.tenant(r.PathValue("tenant"))
	if err != nil {
		return err
	}
	v := s.visit(w, r)
	user := v.remembered()
	if user == nil {
		return v.show(&content{Kind: kindMessage, Title: "Signed out", Message: "This browser is not signed in."})
	}
	return v.show(&content{Kind: kindLogout, Title: "Sign out", User: user.UPN, Action: "/" + s.segment(form) + "/oauth2/v2.0/logout"})
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	v := s.visit(w, r)
	if err := v.read(); err != nil {
		return err
	}
	userID, err := s.people.Forget(r.Context(), v.sessionCookie())
	if userID != "" {
		httpx.SetCaller(r, model.Caller{ObjectID: userID, TenantID: s.tenantID, Type: "user"})
	}
	if err != nil {
		return err
	}
	v.setCookie(cookieSession, "")
	return v.show(&content{Kind: kindMessage, Title: "Signed out", Message: "You have signed out of this browser. What you signed in to elsewhere stays signed in until you sign out there."})
}
