package publish

import (
	"context"
	"fmt"
	"io/fs"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"
)

// bucket is object storage through https://gocloud.dev/howto/blob/.
type bucket struct{ b *blob.Bucket }

// openBucket opens the kinds of buckets that this program is built with.
// Google's also answers like S3's; its own driver would add the whole of gRPC's
// xDS to the program.
func openBucket(ctx context.Context, scheme, to string) (Place, error) {
	mux := blob.DefaultURLMux()
	if !mux.ValidBucketScheme(scheme) {
		return nil, fmt.Errorf("%s:// is no place that documents can be written to: want a folder, s3:// or azblob://", scheme)
	}
	b, err := mux.OpenBucket(ctx, to)
	if err != nil {
		return nil, err
	}
	return &bucket{b}, nil
}

func (b *bucket) Close() error { return b.b.Close() }

func (b *bucket) Read(ctx context.Context, name string) ([]byte, error) {
	r, err := b.b.NewReader(ctx, name, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(r)
}

func (b *bucket) Write(ctx context.Context, name string, d Document) error {
	return b.b.WriteAll(ctx, name, d.Body, &blob.WriterOptions{ContentType: d.ContentType, CacheControl: d.CacheControl})
}
