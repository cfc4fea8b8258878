package signing

import (
	"crypto/sha256"
	"sync"
)

// maxVerified bounds the memory of verified tokens.
const maxVerified = 8192

// verified remembers which tokens a ring has verified, by the hash of the whole
// token. Only Verify adds to it, after the signature held.
type verified struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]*proven // guarded by mu; old goes when young is half of maxVerified
}

// proven is the part of a token that its signature proved.
type proven struct {
	key    *key
	claims string // JSON
}

func (v *verified) find(sum [sha256.Size]byte) *proven {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.young[sum]; p != nil {
		return p
	}
	p := v.old[sum]
	if p != nil {
		v.addLocked(sum, p)
	}
	return p
}

func (v *verified) add(sum [sha256.Size]byte, p *proven) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.addLocked(sum, p)
}

func (v *verified) addLocked(sum [sha256.Size]byte, p *proven) {
	if len(v.young) >= maxVerified/2 {
		v.old, v.young = v.young, nil
	}
	if v.young == nil {
		v.young = map[[sha256.Size]byte]*proven{}
	}
	v.young[sum] = p
}
