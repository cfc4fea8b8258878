package client

import (
	"context"
	"net/http"
)

// Read is a GET of the management API. It also gives the resource's ETag, which
// is what PutIf takes.
func (c *Client) Read(ctx context.Context, id, apiVersion string, answer any) (etag string, err error) {
	res, err := c.arm(ctx, http.MethodGet, id, apiVersion, nil, nil, answer)
	if err != nil {
		return "", err
	}
	return res.Header.Get("ETag"), nil
}

// PutIf writes a resource if it is still the one that Read saw; with an empty etag,
// if there is none. Else the error is a Lost one.
// https://www.rfc-editor.org/rfc/rfc9110#section-13.1
func (c *Client) PutIf(ctx context.Context, id, apiVersion, etag string, body, answer any) error {
	condition := http.Header{"If-None-Match": {"*"}}
	if etag != "" {
		condition = http.Header{"If-Match": {etag}}
	}
	_, err := c.arm(ctx, http.MethodPut, id, apiVersion, condition, body, answer)
	return err
}

// Lost says whether err is the answer to a write whose condition did not hold.
func Lost(err error) bool { return IsStatus(err, http.StatusPreconditionFailed) }

// races is how often a write is repeated because others were faster.
const races = 20

// Again has do read and write once more while another write comes between the two.
func Again(do func() error) error {
	for attempt := 1; ; attempt++ {
		if err := do(); !Lost(err) || attempt == races {
			return err
		}
	}
}

// Create makes a resource. When there is one it changes nothing: made is false and
// answer is what there is.
func (c *Client) Create(ctx context.Context, id, apiVersion string, body, answer any) (made bool, err error) {
	err = Again(func() error {
		err := c.PutIf(ctx, id, apiVersion, "", body, answer)
		if made = err == nil; !Lost(err) {
			return err
		}
		if _, there := c.Read(ctx, id, apiVersion, answer); !IsNotFound(there) {
			return there
		}
		return err // it has gone meanwhile, or its parent was changed
	})
	return made, err
}

// Delete deletes a resource. It says whether there was one.
func (c *Client) Delete(ctx context.Context, id, apiVersion string) (found bool, err error) {
	res, err := c.arm(ctx, http.MethodDelete, id, apiVersion, nil, nil, nil)
	if IsNotFound(err) {
		return false, nil
	}
	return err == nil && res.StatusCode != http.StatusNoContent, err
}

func (c *Client) arm(ctx context.Context, method, id, apiVersion string, header http.Header, body, answer any) (*http.Response, error) {
	return c.ResourceManager(apiVersion).Call(ctx, method, id, header, body, answer)
}
