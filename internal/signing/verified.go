package signing

import (
	"crypto/sha256"
	"sync"
)

// maxVerified bounds the memory of verified tokens.
const maxVerified = 8192

// verified remembers which tokens a ring has verified, by the hash of the whole
// token, and with which key. Only Verify adds to it, after the signature held.
// It keeps no claims, so that no caller can change what the next one reads.
type verified struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]*key // guarded by mu; old goes when young is half of maxVerified
}

func (v *verified) find(sum [sha256.Size]byte) *key {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.young[sum]; k != nil {
		return k
	}
	k := v.old[sum]
	if k != nil {
		v.addLocked(sum, k)
	}
	return k
}

func (v *verified) add(sum [sha256.Size]byte, k *key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.addLocked(sum, k)
}

func (v *verified) addLocked(sum [sha256.Size]byte, k *key) {
	if len(v.young) >= maxVerified/2 {
		v.old, v.young = v.young, nil
	}
	if v.young == nil {
		v.young = map[[sha256.Size]byte]*key{}
	}
	v.young[sum] = k
}
