package model

// Sealed is a value that internal/seal has sealed. A field of this type belongs to
// an object that is a SealedOwner.
type Sealed []byte

// SealedOwner is an object with Sealed fields.
type SealedOwner interface {
	Object
	// Reseal gives a copy in which each Sealed value is replaced by what f makes of
	// it. name is what the value is sealed under.
	Reseal(f func(value Sealed, name string) (Sealed, error)) (Object, error)
}

// BlobOwner is an object whose blob in the store is sealed under the object's key.
type BlobOwner interface {
	Object
	SealedBlob()
}

// SealedBlob implements BlobOwner: the blob is the version's value.
func (*ItemVersion) SealedBlob() {}

// Reseal implements SealedOwner.
func (c *CA) Reseal(f func(Sealed, string) (Sealed, error)) (Object, error) {
	next, err := *c, error(nil)
	next.SealedKey, err = f(c.SealedKey, c.Key())
	return &next, err
}

// Reseal implements SealedOwner.
func (c *Cluster) Reseal(f func(Sealed, string) (Sealed, error)) (Object, error) {
	next, err := *c, error(nil)
	next.Kubeconfig, err = f(c.Kubeconfig, c.Key())
	return &next, err
}

// Reseal implements SealedOwner.
func (u *User) Reseal(f func(Sealed, string) (Sealed, error)) (Object, error) {
	next, err := *u, error(nil)
	next.Password, err = f(u.Password, u.PasswordName())
	return &next, err
}

// Reseal implements SealedOwner.
func (s *SigningKeys) Reseal(f func(Sealed, string) (Sealed, error)) (Object, error) {
	next := &SigningKeys{Keys: append([]SigningKey(nil), s.Keys...)}
	for i, k := range s.Keys {
		var err error
		if next.Keys[i].Sealed, err = f(k.Sealed, k.SealName()); err != nil {
			return nil, err
		}
	}
	return next, nil
}
