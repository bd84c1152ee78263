package fastlytest

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 has it
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

const totpStep = 30 * time.Second

// TOTP returns the six digits that an authenticator with the base32 secret
// shows at the given time (RFC 6238: HMAC-SHA-1, 30 seconds). The secret may be
// in lower case, contain spaces and lack padding. It panics if the secret is not
// base32.
func TOTP(secret string, at time.Time) string {
	mac := hmac.New(sha1.New, mustDecodeSecret(secret))
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(at.Unix())/uint64(totpStep/time.Second)) //nolint:gosec // before 1970 there are no codes
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	// RFC 4226 section 5.3: the last four bits say which 31 bits to take.
	offset := sum[len(sum)-1] & 0xf
	code := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", code%1_000_000)
}

func mustDecodeSecret(secret string) []byte {
	s := strings.TrimRight(strings.ToUpper(strings.ReplaceAll(secret, " ", "")), "=")
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
	if err != nil || len(key) == 0 {
		panic("fastlytest: a TOTP secret that is not base32")
	}
	return key
}

// validOTP reports whether the header values hold a right one-time password, if
// the user needs one.
func (u *User) validOTP(values []string, now time.Time) bool {
	if u.OTP == "" && u.TOTPSecret == "" {
		return true
	}
	if len(values) != 1 || values[0] == "" {
		return false
	}
	code := values[0]
	if code == u.OTP {
		return true
	}
	if u.TOTPSecret == "" {
		return false
	}
	for _, drift := range []time.Duration{0, -totpStep, totpStep} {
		if code == TOTP(u.TOTPSecret, now.Add(drift)) {
			return true
		}
	}
	return false
}
