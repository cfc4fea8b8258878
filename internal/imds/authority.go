package imds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// AuthorityConfig for NewAuthority.
type AuthorityConfig struct {
	Host     string // AZURE_AUTHORITY_HOST: an https URL
	TenantID string
	HTTP     *http.Client     // default: the system's roots and the environment's proxy
	Now      func() time.Time // default time.Now
}

// Authority exchanges assertions at a token service. It asks for no discovery
// document: the token endpoint follows from the authority's URL.
type Authority struct {
	url  string
	http *http.Client
	now  func() time.Time
}

// Limits of one exchange.
const (
	exchangeTimeout = 15 * time.Second
	maxAnswer       = 1 << 20
)

// NewAuthority checks the configuration; it asks nothing yet.
func NewAuthority(c AuthorityConfig) (*Authority, error) {
	u, err := url.Parse(c.Host)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("authority %q: want an https URL", c.Host)
	case c.TenantID == "" || strings.ContainsAny(c.TenantID, "/?#% "):
		return nil, fmt.Errorf("tenant %q: want an id or a domain", c.TenantID)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: exchangeTimeout, IdleConnTimeout: time.Minute,
		}}
	}
	client := *c.HTTP
	client.Timeout = exchangeTimeout
	// A redirect would carry the assertion to wherever it says.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Authority{
		url:  strings.TrimRight(c.Host, "/") + "/" + c.TenantID + "/oauth2/v2.0/token",
		http: &client, now: c.Now,
	}, nil
}

// Exchange gets an access token for a client that an assertion proves.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
func (a *Authority) Exchange(ctx context.Context, clientID, resource, assertion string) (Token, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {resource + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "lanyard")
	asked := a.now()
	resp, err := a.http.Do(req)
	if err != nil {
		return Token{}, errors.Join(unavailable("The authority cannot be reached"), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Token{}, errors.Join(unavailable("The authority's answer broke off"), err)
	}
	if resp.StatusCode != http.StatusOK {
		return Token{}, refused(resp, body)
	}
	var t struct {
		Token   string `json:"access_token"`
		Expires any    `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &t); err != nil || t.Token == "" {
		return Token{}, unavailable("The authority's answer holds no token")
	}
	life, err := strconv.ParseFloat(fmt.Sprint(t.Expires), 64)
	if err != nil || life <= 0 || life > maxLife.Seconds() {
		return Token{}, unavailable("The authority's answer has no sound expires_in")
	}
	return Token{Value: t.Token, ClientID: clientID, NotBefore: asked, Expires: asked.Add(time.Duration(life) * time.Second)}, nil
}

// maxLife is a bound on what an authority may say of a token's life.
const maxLife = 7 * 24 * time.Hour

// maxDetail is how much of the authority's words is passed on.
const maxDetail = 2048

// refused passes on the authority's own words. What is wrong with the workload's
// set-up is final, 400; what may pass is what clients try again after.
func refused(resp *http.Response, body []byte) error {
	var e struct {
		Code   string `json:"error"`
		Detail string `json:"error_description"`
	}
	if json.Unmarshal(body, &e) != nil || e.Code == "" {
		e.Code, e.Detail = "invalid_request", fmt.Sprintf("The authority answers %d", resp.StatusCode)
	}
	if len(e.Detail) > maxDetail {
		e.Detail = strings.ToValidUTF8(e.Detail[:maxDetail], "")
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return &Error{Status: resp.StatusCode, Code: e.Code, Detail: e.Detail, RetryAfter: resp.Header.Get("Retry-After")}
	case strings.HasPrefix(e.Detail, "AADSTS700016:"):
		return NotFound(e.Detail)
	}
	return &Error{Status: http.StatusBadRequest, Code: e.Code, Detail: e.Detail}
}
