package az_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	personUPN      = "alice@lanyard.localhost"
	personPassword = "correct horse battery"
)

// TestUserLogin is a person who signs in with az: by a password, with a code on a
// page, and with a browser that az opens. The browser is a real one, which runs
// no scripts.
func TestUserLogin(t *testing.T) {
	for name, az := range clis(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az)
			l.setUp()
			l.ok("group", "create", "--name", group, "--location", location)
			alice := l.json("ad", "user", "create", "--display-name", "Alice", "--user-principal-name", personUPN, "--password", personPassword)
			id := l.text(alice, "id")
			l.is(l.json("ad", "user", "show", "--id", personUPN), "id", id)
			if list, _ := l.json("ad", "user", "list", "--upn", personUPN).([]any); len(list) != 1 {
				t.Errorf("%d users, want 1: %v", len(list), list)
			}
			l.ok("role", "assignment", "create", "--role", "Reader", "--assignee", personUPN, "--scope", "/subscriptions/"+l.admin().SubscriptionID)

			for way, signIn := range map[string]func(*lab){
				"password": func(u *lab) { u.ok("login", "-u", personUPN, "-p", personPassword) },
				"device":   func(u *lab) { u.deviceLogin(l.newBrowser(), name) },
				"browser":  func(u *lab) { u.browserLogin(l.newBrowser(), name) },
			} {
				t.Run(way, func(t *testing.T) {
					lt := *l
					lt.t = t
					u := lt.as(way, signIn)
					u.person(id)
				})
			}

			l.fails("AADSTS50126", "login", "-u", personUPN, "-p", "wrong", "--only-show-errors")
			gone := l.as("gone", func(u *lab) { u.ok("login", "-u", personUPN, "-p", personPassword) })
			l.ok("login", "--service-principal", "-u", l.admin().ClientID, "-p", l.admin().ClientSecret, "--tenant", l.admin().TenantID)
			l.ok("ad", "user", "update", "--id", personUPN, "--password", personPassword+" 2")
			gone.fails("AADSTS50173", "account", "get-access-token", "--resource", "https://vault.lanyard.localhost")
			l.ok("ad", "user", "delete", "--id", personUPN)
			l.fails("AADSTS50126", "login", "-u", personUPN, "-p", personPassword+" 2", "--only-show-errors")
		})
	}
}

// person does what a reader may, and may not.
func (l *lab) person(id string) {
	l.t.Helper()
	account := l.json("account", "show")
	l.is(account, "user.name", personUPN)
	l.is(account, "user.type", "user")
	l.is(l.json("ad", "signed-in-user", "show"), "id", id)
	l.is(l.json("group", "show", "--name", group), "name", group)
	l.fails("AuthorizationFailed", "group", "create", "--name", "other", "--location", location)
	l.fails("Insufficient privileges", "ad", "user", "delete", "--id", personUPN)
	l.ok("logout")
	l.fails("az login", "group", "list")
}

// deviceLogin types the code that az shows into the page.
func (l *lab) deviceLogin(b *browser, version string) {
	l.t.Helper()
	shown := &watch{pattern: regexp.MustCompile(`enter the code ([A-Z0-9]+) to`), found: make(chan string, 1)}
	done := l.begin(shown, nil, "login", "--use-device-code")
	code := shown.wait(l.t)

	b.open("https://login.lanyard.localhost/devicelogin")
	b.picture(version + "-code")
	b.typeIn("#user_code", "BCDFGHJKL")
	b.click("button")
	b.sees("[role=alert]", "No device waits with this code")
	b.typeIn("#user_code", strings.ToLower(code[:4]+"-"+code[4:]))
	b.click("button")
	b.sees("main", "Azure CLI on another device asks to sign in as you")
	b.picture(version + "-device")
	b.typeIn("#username", personUPN)
	b.typeIn("#password", "not the password")
	b.click("button[value=signin]")
	b.sees("[role=alert]", "not right")
	b.picture(version + "-wrong")
	b.typeIn("#password", personPassword)
	b.click("button[value=signin]")
	b.sees("[role=status]", "You have signed in to Azure CLI")
	b.picture(version + "-done")
	done()
}

// browserLogin is the browser that az opens: a script in its place hands the URL over.
func (l *lab) browserLogin(b *browser, version string) {
	l.t.Helper()
	dir := l.t.TempDir()
	script, pipe := filepath.Join(dir, "browser"), filepath.Join(dir, "url")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s\\n' \"$1\" > '"+pipe+"'\n"), 0o700); err != nil {
		l.t.Fatal(err)
	}
	urls := make(chan string, 1)
	go func() {
		data, _ := os.ReadFile(pipe) // until the script has written
		urls <- strings.TrimSpace(string(data))
	}()
	done := l.begin(&watch{pattern: regexp.MustCompile(`(\z.)`)}, []string{"BROWSER=" + script + " %s", "DISPLAY=:0"}, "login")
	url := <-urls
	if !strings.HasPrefix(url, "https://login.lanyard.localhost/") {
		l.t.Fatalf("az opens %q", url)
	}
	b.open(url)
	b.picture(version + "-login")
	b.typeIn("#username", personUPN)
	b.typeIn("#password", personPassword)
	b.click("button[value=signin]")
	if strings.Contains(url, "response_mode=form_post") {
		b.sees("main", "You have signed in")
		b.picture(version + "-send")
		b.click("button")
	}
	b.sees("body", "Azure") // az's own page
	done()

	b.open(url) // the browser remembers
	b.sees("main", "You are signed in as "+personUPN)
	b.picture(version + "-account")
	b.open("https://login.lanyard.localhost/organizations/oauth2/v2.0/logout")
	b.picture(version + "-logout")
	b.click("button")
	b.sees("[role=status]", "You have signed out")
	b.open(strings.Replace(url, "localhost%3A", "evil.example%3A", 1))
	b.sees("[role=alert]", "does not match the redirect URIs")
	b.picture(version + "-error")
}

// begin starts an az line; done waits for its good end.
func (l *lab) begin(watch *watch, more []string, args ...string) (done func()) {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), l.az, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append(l.env[:len(l.env):len(l.env)], more...), l.home, watch, watch
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	return func() {
		l.t.Helper()
		if err := cmd.Wait(); err != nil {
			l.t.Fatalf("%s: %v\n%s", line(l.az, args), err, watch.all.String())
		}
	}
}
