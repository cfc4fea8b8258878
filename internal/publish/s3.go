package publish

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3Bucket is a bucket of Amazon S3, or of another server with its API.
type s3Bucket struct {
	client         *minio.Client
	bucket, prefix string
}

// openS3 opens s3://BUCKET?endpoint=URL&region=R&prefix=P&use_path_style=true&profile=N.
func openS3(u *url.URL) (*s3Bucket, error) {
	query, err := parameters(u, "endpoint", "region", "prefix", "use_path_style", "profile")
	if err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(cmp.Or(query.Get("endpoint"), os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), "https://s3.amazonaws.com"))
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" {
		return nil, errors.New("the endpoint of s3:// must be a URL, such as https://s3.example.org")
	}
	options := &minio.Options{
		Secure: endpoint.Scheme == "https",
		Region: cmp.Or(query.Get("region"), os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		Creds:  s3Credentials(query.Get("profile")),
	}
	if text := query.Get("use_path_style"); text != "" {
		pathStyle, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("use_path_style is %q: want true or false", text)
		}
		if pathStyle {
			options.BucketLookup = minio.BucketLookupPath
		}
	}
	client, err := minio.New(endpoint.Host, options)
	if err != nil {
		return nil, err
	}
	return &s3Bucket{client, u.Host, query.Get("prefix")}, nil
}

// s3Credentials are the ones of the environment, of the shared file, of a web
// identity token or of the machine, the first that there are. Without any, requests
// are not signed.
func s3Credentials(profile string) *credentials.Credentials {
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{Profile: profile},
		&credentials.IAM{Client: http.DefaultClient},
	})
}

func (*s3Bucket) Close() error { return nil }

func (b *s3Bucket) Read(ctx context.Context, name string) ([]byte, error) {
	object, err := b.client.GetObject(ctx, b.bucket, b.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer object.Close()
	body, err := readAll(object)
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil, fs.ErrNotExist
	}
	return body, err
}

func (b *s3Bucket) Write(ctx context.Context, name string, d Document) error {
	_, err := b.client.PutObject(ctx, b.bucket, b.prefix+name, bytes.NewReader(d.Body), int64(len(d.Body)),
		minio.PutObjectOptions{ContentType: d.ContentType, CacheControl: d.CacheControl})
	return err
}
