package trust_test

import (
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

func TestParseRefuses(t *testing.T) {
	const head = `{"alg":"RS256","kid":"k"}`
	sig := []byte("signature")
	good := compact(head, `{}`, sig)
	tests := map[string]struct {
		token string
		want  trust.Reason
	}{
		"empty":                   {"", trust.Malformed},
		"no-dots":                 {"token", trust.Malformed},
		"two-parts":               {good[:strings.LastIndexByte(good, '.')], trust.Malformed},
		"four-parts":              {good + ".", trust.Malformed},
		"encrypted":               {good + ".e30.e30", trust.Malformed},
		"one-megabyte":            {compact(head, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`, sig), trust.Malformed},
		"long-header":             {compact(`{"alg":"RS256","x":"`+strings.Repeat("x", 32<<10)+`"}`, `{}`, sig), trust.Malformed},
		"space-inside":            {strings.Replace(good, ".", ". ", 1), trust.Malformed},
		"newline-inside":          {strings.Replace(good, ".", ".\n", 1), trust.Malformed},
		"newline-in-signature":    {good[:len(good)-4] + "\n" + good[len(good)-4:], trust.Malformed},
		"standard-base64":         {strings.Replace(good, "e30", "e3+/", 1), trust.Malformed},
		"too-much-padding":        {strings.Replace(good, "e30", "e30==", 1), trust.Malformed},
		"padding-inside":          {strings.Replace(good, "e30", "e3=0", 1), trust.Malformed},
		"trailing-bits":           {strings.Replace(good, "e30", "e31", 1), trust.Malformed},
		"header-not-json":         {compact(`alg`, `{}`, sig), trust.Malformed},
		"header-array":            {compact(`[]`, `{}`, sig), trust.Malformed},
		"header-two-objects":      {compact(head+`{}`, `{}`, sig), trust.Malformed},
		"header-duplicate":        {compact(`{"alg":"none","alg":"RS256"}`, `{}`, sig), trust.Malformed},
		"header-escaped-twin":     {compact(`{"alg":"RS256","\u0061lg":"none"}`, `{}`, sig), trust.Malformed},
		"header-upper-case":       {compact(`{"ALG":"RS256"}`, `{}`, sig), trust.Algorithm},
		"kid-number":              {compact(`{"alg":"RS256","kid":1}`, `{}`, sig), trust.Malformed},
		"payload-not-json":        {compact(head, `x`, sig), trust.Malformed},
		"payload-string":          {compact(head, `"x"`, sig), trust.Malformed},
		"payload-null":            {compact(head, `null`, sig), trust.Malformed},
		"payload-empty":           {compact(head, ``, sig), trust.Malformed},
		"payload-trailing-comma":  {compact(head, `{"a":1,}`, sig), trust.Malformed},
		"header-other-case":       {compact(`{"alg":"none","ALG":"RS256"}`, `{}`, sig), trust.Malformed},
		"payload-other-case":      {compact(head, `{"sub":"a","aud":"x","SUB":"b"}`, sig), trust.Malformed},
		"payload-long-s":          {compact(head, `{"sub":"a","aud":"x","ſub":"b"}`, sig), trust.Malformed},
		"payload-deep-kelvin":     {compact(head, `{"sub":"a","aud":"x","deep":[{"k":1,"\u212a":2}]}`, sig), trust.Malformed},
		"payload-duplicate":       {compact(head, `{"sub":"a","aud":"x","sub":"b"}`, sig), trust.Malformed},
		"payload-nested-twins":    {compact(head, `{"k":{"a":1,"a":2}}`, sig), trust.Malformed},
		"payload-deep":            {compact(head, `{"k":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`, sig), trust.Malformed},
		"payload-nan":             {compact(head, `{"exp":NaN}`, sig), trust.Malformed},
		"payload-leading-zero":    {compact(head, `{"exp":01}`, sig), trust.Malformed},
		"payload-hex":             {compact(head, `{"exp":0x10}`, sig), trust.Malformed},
		"payload-invalid-utf-8":   {compact(head, "{\"sub\":\"\xff\"}", sig), trust.Malformed},
		"payload-half-surrogate":  {compact(head, `{"sub":"\ud800"}`, sig), trust.Malformed},
		"payload-control":         {compact(head, "{\"sub\":\"a\x00b\"}", sig), trust.Malformed},
		"payload-byte-order-mark": {compact(head, "\ufeff{}", sig), trust.Malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := trust.Parse(tt.token)
			wantReason(t, err, tt.want)
		})
	}
}

func TestParseAlgorithmComesFirst(t *testing.T) {
	_, err := trust.Parse(compact(`{"alg":"none","crit":["x"]}`, `not json`, nil))
	wantReason(t, err, trust.Algorithm)
}

func TestParseTolerates(t *testing.T) {
	good := compact(`{"alg":"RS256"}`, `{"exp":1.5e9}`, []byte("signature!"))
	for name, token := range map[string]string{
		"as-it-is":     good,
		"white-space":  "\r\n\t " + good + "\r\n",
		"padded":       compact(`{"alg":"RS256","p":"x"}`, `{"exp":1.5e9}`, []byte("signature!")) + "==",
		"escaped-name": compact(`{"\u0061lg":"RS256"}`, `{"\u0065xp":1.5e9}`, nil),
		"any-typ":      compact(`{"alg":"RS256","typ":7}`, "{ \"exp\" : 1.5e9 }\n", nil),
	} {
		t.Run(name, func(t *testing.T) {
			a, err := trust.Parse(token)
			if err != nil {
				t.Fatal(err)
			}
			if a.Expires.Unix() != 1_500_000_000 {
				t.Errorf("exp = %v, want 1500000000", a.Expires)
			}
		})
	}
}

func TestParseErrorsDoNotHoldTheToken(t *testing.T) {
	issuer := trusttest.New(t)
	token := issuer.Sign(claims(map[string]any{"exp": "soon"}), trusttest.Options{})
	_, err := trust.Parse(token)
	wantReason(t, err, trust.NoExpiry)
	for _, part := range strings.Split(token, ".") {
		if strings.Contains(err.Error(), part) {
			t.Errorf("error %q holds a part of the token", err)
		}
	}
}
