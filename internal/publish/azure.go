package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// azureContainer is a container of an Azure storage account.
type azureContainer struct {
	client *container.Client
	prefix string
}

// openAzure opens azblob://CONTAINER?storage_account=A&domain=D&protocol=P&prefix=P.
func openAzure(u *url.URL) (*azureContainer, error) {
	query, err := parameters(u, "storage_account", "domain", "protocol", "prefix")
	if err != nil {
		return nil, err
	}
	client, err := azureClient(u.Host, query)
	if err != nil {
		return nil, err
	}
	return &azureContainer{client, query.Get("prefix")}, nil
}

// azureClient signs in with what the environment names: a connection string, an
// account's key, a shared access signature, or Azure's default credentials.
func azureClient(name string, query url.Values) (*container.Client, error) {
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		return container.NewClientFromConnectionString(text, name, nil)
	}
	account := cmp.Or(query.Get("storage_account"), os.Getenv("AZURE_STORAGE_ACCOUNT"))
	if account == "" {
		return nil, errors.New("azblob:// needs the storage account: set AZURE_STORAGE_ACCOUNT")
	}
	place := fmt.Sprintf("%s://%s.%s/%s",
		cmp.Or(query.Get("protocol"), os.Getenv("AZURE_STORAGE_PROTOCOL"), "https"), account,
		cmp.Or(query.Get("domain"), os.Getenv("AZURE_STORAGE_DOMAIN"), "blob.core.windows.net"), name)
	if key := os.Getenv("AZURE_STORAGE_KEY"); key != "" {
		credential, err := container.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, err
		}
		return container.NewClientWithSharedKeyCredential(place, credential, nil)
	}
	if signature := os.Getenv("AZURE_STORAGE_SAS_TOKEN"); signature != "" {
		return container.NewClientWithNoCredential(place+"?"+strings.TrimPrefix(signature, "?"), nil)
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	return container.NewClient(place, credential, nil)
}

func (*azureContainer) Close() error { return nil }

func (c *azureContainer) Read(ctx context.Context, name string) ([]byte, error) {
	answer, err := c.client.NewBlockBlobClient(c.prefix+name).DownloadStream(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return readAll(answer.Body)
}

func (c *azureContainer) Write(ctx context.Context, name string, d Document) error {
	_, err := c.client.NewBlockBlobClient(c.prefix+name).UploadBuffer(ctx, d.Body, &blockblob.UploadBufferOptions{
		HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &d.ContentType, BlobCacheControl: &d.CacheControl},
	})
	return err
}
