package model

import (
	"testing"
	"time"
)

// What a user and its sign-ins are stored as is a promise to every later version.
func TestStoredFormatOfUsers(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for want, o := range map[string]Object{
		`{"v":1,"kind":"User","data":{"objectId":"o","upn":"Alice@x.test","name":"Alice","nickname":"alice","disabled":true,"password":"AQ==","mustChange":true,"changed":"2026-11-01T00:00:00Z","stamp":"s","created":"2026-11-01T00:00:00Z"}}`: &User{
			ObjectID: "o", UPN: "Alice@x.test", Name: "Alice", Nickname: "alice", Disabled: true, Password: []byte{1}, MustChange: true, Changed: at, Stamp: "s", Created: at,
		},
		`{"v":1,"kind":"SignIns","data":{"owner":"o","failures":3,"refused":1,"last":"2026-11-01T00:00:00Z","locked":"2026-11-01T00:00:00Z"}}`: &SignIns{
			Owner: "o", Failures: 3, Refused: 1, Last: at, Locked: at,
		},
		`{"v":1,"kind":"Session","data":{"id":"i","userId":"o","clientId":"c","stamp":"s","proven":true,"method":"m","sha256":"AQ==","previous":"Ag==","rotated":"2026-11-01T00:00:00Z","created":"2026-11-01T00:00:00Z","used":"2026-11-01T00:00:00Z","expires":"2026-11-01T00:00:00Z"}}`: &Session{
			ID: "i", UserID: "o", ClientID: "c", Stamp: "s", Proven: true, Method: "m", SHA256: []byte{1}, Previous: []byte{2}, Rotated: at, Created: at, Used: at, Expires: at,
		},
		`{"v":1,"kind":"AuthCode","data":{"id":"i","userId":"o","stamp":"s","clientId":"c","proven":true,"redirect":"r","challenge":"x","scope":"y","nonce":"n","expires":"2026-11-01T00:00:00Z","used":true,"sessionId":"z"}}`: &AuthCode{
			ID: "i", UserID: "o", Stamp: "s", ClientID: "c", Proven: true, Redirect: "r", Challenge: "x", Scope: "y", Nonce: "n", Expires: at, Used: true, SessionID: "z",
		},
		`{"v":1,"kind":"DeviceCode","data":{"id":"i","userCode":"u","clientId":"c","scope":"y","remote":"::1","expires":"2026-11-01T00:00:00Z","declined":true,"userId":"o","stamp":"s"}}`: &DeviceCode{
			ID: "i", UserCode: "u", ClientID: "c", Scope: "y", Remote: "::1", Expires: at, Declined: true, UserID: "o", Stamp: "s",
		},
	} {
		b, err := Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != want {
			t.Errorf("got  %s\nwant %s", b, want)
		}
	}
}

// Where things lie is a promise too: what goes with a user must lie below it.
func TestKeysOfUsers(t *testing.T) {
	for got, want := range map[string]string{
		(&User{UPN: "Alice@X.test"}).Key():                "/users/alice@x.test",
		(&SignIns{Owner: "O"}).Key():                      "/people/o/signins",
		(&Session{UserID: "O", ID: "i"}).Key():            "/people/o/sessions/i",
		(&AuthCode{UserID: "O", ID: "i"}).Key():           "/people/o/codes/i",
		(&DeviceCode{ID: "i"}).Key():                      "/devicecodes/i",
		(&User{UPN: "A@b", ObjectID: "o"}).PasswordName(): "/users/a@b/password/o",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestValidUPN(t *testing.T) {
	for upn, want := range map[string]bool{
		"alice@lanyard.localhost": true, "o'neil+x.y_z~#1@a-b.example": true, "alice@localhost": true,
		"": false, "alice": false, "@x": false, "a@": false, "a b@x": false, "a/b@x": false, "a@b@c": false, "a@-b": false, "a@b..c": false,
		"a\n@x": false, "a@x\n": false, "ä@x": false, "a%2f@x": false,
	} {
		if got := ValidUPN(upn); got != want {
			t.Errorf("ValidUPN(%q) = %v, want %v", upn, got, want)
		}
	}
}
