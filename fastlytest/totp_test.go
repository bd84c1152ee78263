package fastlytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTOTPMatchesRFC6238(t *testing.T) {
	t.Parallel()
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // "12345678901234567890"
	// RFC 6238 appendix B, the last six of eight digits.
	for unix, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471",
		1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		assert.Equal(t, want, TOTP(secret, time.Unix(unix, 0)))
	}
	assert.Equal(t, TOTP(secret, start), TOTP("gezd gnbv gy3t qojq gezd gnbv gy3t qojq", start))
	assert.Equal(t, TOTP("JBSWY3DP", start), TOTP("JBSWY3DP====", start))
	assert.Panics(t, func() { TOTP("", start) })
	assert.Panics(t, func() { TOTP("0189", start) })
}
