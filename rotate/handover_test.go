package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

// fileWorld is a world whose place and journal are files.
type fileWorld struct {
	*world
	dir string
}

func newFileWorld(t *testing.T, a *api, dir string, troubles []trouble) *fileWorld {
	t.Helper()
	w := &fileWorld{newWorld(a, setup{}, troubles), dir}
	require.NoError(t, os.WriteFile(w.path("token"), []byte(w.place.Reveal()), 0o600))
	return w
}

func (w *fileWorld) path(name string) string { return filepath.Join(w.dir, name) }

// fault is what happens to an operation on the disk.
func (w *fileWorld) fault(operation string) error {
	switch w.next("disk " + operation).name {
	case crashBefore:
		panic(errCrash)
	case failBefore:
		return fmt.Errorf("%s: no such luck", operation)
	}
	return nil
}

func (w *fileWorld) rotation(t *testing.T) *rotate.Rotation {
	r := w.world.rotation(t)
	r.Journal = rotate.FaultyFileJournal(w.path("journal"), w.fault)
	r.Handover = rotate.FaultyWriteFile(w.path("token"), w.fault)
	return r
}

func (w *fileWorld) rotate(t *testing.T) (rotate.Result, error) {
	return w.recovering(func() (rotate.Result, error) { return w.rotation(t).Run(t.Context()) })
}

// look reads the files, too.
func (w *fileWorld) look(t *testing.T) {
	t.Helper()
	w.world.look()
	text, err := os.ReadFile(w.path("token"))
	require.NoError(t, err)
	w.place = fastly.Secret(text)
	w.record, err = os.ReadFile(w.path("journal"))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
}

// TestRotationWithFilesSurvivesACrashOrAnErrorAtEachStep wants the files whole
// after each, and no others once the rotation is finished.
func TestRotationWithFilesSurvivesACrashOrAnErrorAtEachStep(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	dir := t.TempDir()
	run := func(troubles []trouble) (ops []string) {
		synctest.Test(t, func(t *testing.T) {
			w := newFileWorld(t, a, dir, troubles)
			for range 4 {
				result, err := w.rotate(t)
				w.look(t)
				require.NoError(t, w.broken(), "troubles %v:\n%s", troubles, &w.log)
				if !errors.Is(err, errCrash) {
					require.NoError(t, w.untrue(result, err), "troubles %v:\n%s", troubles, &w.log)
				}
				if w.rotated() {
					break
				}
			}
			ops = w.ops
			require.True(t, w.rotated(), "troubles %v:\n%s", troubles, &w.log)
			info, err := os.Stat(w.path("token"))
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode(), "troubles %v", troubles)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			assert.Equal(t, []string{"journal.lock", "token"}, names, "troubles %v", troubles)
		})
		return ops
	}
	n := 1
	for op, name := range run(nil) {
		var troubles []trouble
		if op > 0 { // the first one is before anything
			troubles = append(troubles, trouble{op: op, name: crashBefore})
		}
		if strings.HasPrefix(name, "disk ") {
			troubles = append(troubles, trouble{op: op, name: failBefore})
		}
		for _, tr := range troubles {
			run([]trouble{tr})
			n++
		}
	}
	t.Logf("%d sequences", n)
}

func TestErrorAfterTheLastStepSaysThatTheRotationIsFinished(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, operation := range []string{"disk remove", "disk sync directory"} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			clean := newFileWorld(t, a, dir, nil)
			_, err := clean.rotate(t)
			require.NoError(t, err)
			last := len(clean.ops) - 1
			for clean.ops[last] != operation {
				last--
			}
			w := newFileWorld(t, a, dir, []trouble{{op: last, name: failBefore}})

			result, err := w.rotate(t)

			assert.Equal(t, rotate.StateDone, result.State)
			assert.ErrorContains(t, err, "the rotation is finished nevertheless: token "+result.New.ID+" is in use")
			w.look(t)
			assert.Len(t, w.tokens, 1)
		})
	}
}

func TestWriteFileReplacesNothingButAFile(t *testing.T) {
	t.Parallel()
	token := &fastly.TokenCreatedResponse{AccessToken: "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe"}
	for name, prepare := range map[string]func(t *testing.T, path string){
		"a directory":     func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) },
		"a symbolic link": func(t *testing.T, path string) { require.NoError(t, os.Symlink(path+".target", path)) },
		"a long file":     func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "token")
			prepare(t, path)
			before, err := os.Lstat(path)
			require.NoError(t, err)

			_, err = rotate.WriteFile(path).Get(t.Context())
			assert.ErrorContains(t, err, path)
			if name == "a long file" {
				return
			}
			err = rotate.WriteFile(path).Put(t.Context(), token)
			assert.ErrorContains(t, err, "is not a regular file")
			assert.NotErrorIs(t, err, rotate.ErrMaybeHandedOver)
			after, err := os.Lstat(path)
			require.NoError(t, err)
			assert.Equal(t, before.Mode(), after.Mode())
		})
	}
}

func TestWriteFileGetsWhatItPut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	h := rotate.WriteFile(path)
	key, err := h.Get(t.Context())
	require.NoError(t, err, "no file yet should be no error")
	assert.Empty(t, key)
	for _, want := range []fastly.Secret{"Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe", "Kd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe"} {
		require.NoError(t, h.Put(t.Context(), &fastly.TokenCreatedResponse{AccessToken: want}))
		key, err = h.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want.Reveal(), key.Reveal())
		read, err := fastly.KeyFile(path)(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want.Reveal(), read.Reveal())
	}
	require.NoError(t, os.WriteFile(path, []byte(" by hand\r\n"), 0o600))
	key, err = h.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "by hand", key.Reveal())

	_, err = rotate.WriteFile(filepath.Join(path, "below", "a file")).Get(t.Context())
	assert.Error(t, err, "a directory that does not exist should be found before a token is created")
}

func TestWriteFileThatWasReplacedButNotSyncedMayHaveHandedOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	for operation, maybe := range map[string]bool{
		"clear": false, "create": false, "write": false, "sync": false, "rename": false, "sync directory": true,
	} {
		h := rotate.FaultyWriteFile(path, func(op string) error {
			if op == operation {
				return errors.New("no such luck")
			}
			return nil
		})
		err := h.Put(context.Background(), &fastly.TokenCreatedResponse{AccessToken: fastly.Secret("x" + operation)})
		assert.ErrorContains(t, err, "no such luck", operation)
		assert.Equal(t, maybe, errors.Is(err, rotate.ErrMaybeHandedOver), operation)
		text, err := os.ReadFile(path)
		assert.Equal(t, maybe, err == nil && string(text) == "x"+operation, operation)
		require.NoError(t, os.RemoveAll(path))
	}
}

func TestRenameThatSucceededWithAnErrorMayHaveHandedOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	h := rotate.FaultyWriteFile(path, func(op string) error {
		if op != "rename" {
			return nil
		}
		temporary, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".token.*"))
		require.NoError(t, err)
		require.Len(t, temporary, 1)
		require.NoError(t, os.Rename(temporary[0], path))
		return errors.New("no response from the file server")
	})

	err := h.Put(t.Context(), &fastly.TokenCreatedResponse{AccessToken: "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe"})

	assert.ErrorIs(t, err, rotate.ErrMaybeHandedOver)
}

func TestDestinationThatCannotBeReplacedIsFoundBeforeACreate(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, operation := range []string{"clear", "create", "keep", "write", "sync", "sync directory"} {
		synctest.Test(t, func(t *testing.T) {
			w := newFileWorld(t, a, t.TempDir(), nil)
			r := w.rotation(t)
			r.Handover = rotate.FaultyWriteFile(w.path("token"), func(op string) error {
				if op == operation {
					return errors.New("no such luck")
				}
				return nil
			})

			result, err := r.Run(t.Context())

			assert.ErrorContains(t, err, "the destination of the handover", operation)
			assert.ErrorContains(t, err, "no such luck", operation)
			assert.Equal(t, rotate.StateUnchanged, result.State, operation)
			assert.NotContains(t, w.ops, "POST /tokens", operation)
			w.look(t)
			assert.Equal(t, w.old.AccessToken, w.place, operation)
		})
	}
}

func TestFileKeepsItsModeButForAccessByOthersWhichIsLogged(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for mode, want := range map[os.FileMode]os.FileMode{0o640: 0o640, 0o644: 0o640} {
		synctest.Test(t, func(t *testing.T) {
			w := newFileWorld(t, a, t.TempDir(), nil)
			require.NoError(t, os.Chmod(w.path("token"), mode))

			_, err := w.rotate(t)

			require.NoError(t, err)
			info, err := os.Stat(w.path("token"))
			require.NoError(t, err)
			assert.Equal(t, want, info.Mode())
			assert.Equal(t, mode != want, strings.Contains(w.log.String(), "without access by others"), w.log.String())
		})
	}
}

func TestRotationOfATokenThatAnotherRunHasRotatedIsReported(t *testing.T) {
	t.Parallel()
	for op, want := range map[string]string{
		"GET /tokens/ID":    "if it existed, another run may have rotated it",
		"POST /tokens":      "another run may have rotated the token",
		"put":               "unless this rotation has revoked it", // too late to be seen before
		"GET /tokens":       "",                                    // the other one sees this one's token
		"DELETE /tokens/ID": "",
	} {
		inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
			w.troubles = []trouble{at(op, 1, anotherRun, fastlytest.Fault{})}

			_, err := w.rotation(t).Run(t.Context())

			w.look()
			if want == "" {
				require.NoError(t, err, op)
				assert.True(t, w.rotated(), op)
				assert.Contains(t, w.log.String(), "another run = unchanged: rotate: the destination of the handover holds token "+w.tokens[0].ID, op)
				return
			}
			assert.ErrorContains(t, err, want, op)
			for _, token := range w.tokens {
				assert.ErrorContains(t, err, token.ID, "%s: nobody knows of a token", op)
			}
			assert.Nil(t, w.record, op)
		})
	}
}

// The old token is gone, and so is the key if that is the same one.
func TestTokenThatIsGoneIsReportedTogetherWithTheOneInUse(t *testing.T) {
	t.Parallel()
	const place = "the destination of the handover"
	for name, put := range map[string]func(*world, *rotate.Rotation) (want string){
		"another token": func(w *world, _ *rotate.Rotation) string {
			other := w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "purger"}})
			w.place = other.AccessToken
			return place + " holds token " + other.ID
		},
		"the old token": func(w *world, _ *rotate.Rotation) string {
			w.place = w.old.AccessToken
			return place + " holds a token that does not work"
		},
		"no API key": func(w *world, _ *rotate.Rotation) string {
			w.place = "not a\ntoken"
			return place + " holds a token that does not work"
		},
		"no token": func(w *world, _ *rotate.Rotation) string {
			w.place = ""
			return place + " holds no token"
		},
		"an error": func(_ *world, r *rotate.Rotation) string {
			r.Handover.Get = func(context.Context) (fastly.Secret, error) { return "", errors.New("no such vault") }
			return place + ": no such vault"
		},
		"no look": func(_ *world, r *rotate.Rotation) string {
			r.Handover.Get = nil
			return "which token is in use is not known"
		},
	} {
		for _, own := range []bool{false, true} {
			for _, stop := range []rotate.State{rotate.StateUnchanged, rotate.StateCreating, rotate.StateHanding, rotate.StateHandedOver} {
				if name == "no look" && !own && stop == rotate.StateHandedOver {
					continue // the new token is in use
				}
				inWorld(t, setup{own: own, get: true, grace: time.Hour, noWait: true, patience: time.Second}, func(t *testing.T, w *world) {
					reach(t, w, stop)
					revoke(t, w, w.old.ID)
					time.Sleep(time.Hour)
					r := w.rotation(t)
					want := put(w, r)

					_, err := r.Run(t.Context())

					assert.ErrorContains(t, err, want, "%s, own %t, %v", name, own, stop)
					for _, token := range w.Tokens() {
						assert.NotContains(t, err.Error(), token.AccessToken.Reveal())
					}
					assert.NotContains(t, err.Error(), "not a")
				})
			}
		}
	}
}

// A 401 or 404 is final: what holds a key that does not work is not waited for.
func TestErrorOfATokenThatIsGoneDoesNotWait(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *world, *rotate.Rotation){
		"a dead key":      func(t *testing.T, w *world, r *rotate.Rotation) { r.Client = w.client(t, w.old.AccessToken) },
		"a token is gone": func(*testing.T, *world, *rotate.Rotation) {},
		"a mistyped ID":   func(_ *testing.T, _ *world, r *rotate.Rotation) { r.TokenID = "0000000000000000000000" },
	} {
		inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
			revoke(t, w, w.old.ID)
			r := w.rotation(t)
			change(t, w, r)

			_, err := r.Run(t.Context())

			assert.ErrorContains(t, err, "the destination of the handover holds a token that does not work", name)
			assert.Zero(t, time.Since(epoch), name)
		})
	}
}

func TestEndOfTheContextDoesNotHideA401(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
		reach(t, w, rotate.StateHandedOver)
		w.place = w.old.AccessToken
		revoke(t, w, w.old.ID)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()

		_, err := w.rotation(t).Run(ctx)

		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "the token at the destination of the handover: fastly: GET /tokens/self: 401")
	})
}

func TestEndOfTheContextDoesNotHideThatTheOldTokenMayBeRevoked(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := w.before
		w.before = func(r *http.Request) bool {
			if r.Method == http.MethodDelete {
				cancel()
				w.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter})
				return true
			}
			return before(r)
		}

		_, err := w.rotation(t).Run(ctx)

		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorContains(t, err, "the token may be revoked nevertheless")
		assert.NotContains(t, err.Error(), "not sent")
	})
}

// reach begins a rotation that ends in a state.
func reach(t *testing.T, w *world, state rotate.State) {
	t.Helper()
	switch state {
	case rotate.StateUnchanged:
		return
	case rotate.StateCreating:
		w.troubles = []trouble{at("save", 1, crashAfter, fastlytest.Fault{})}
	case rotate.StateHanding:
		w.troubles = []trouble{at("put", 1, crashBefore, fastlytest.Fault{})}
	}
	_, err := w.rotate(t)
	if state != rotate.StateHandedOver {
		require.ErrorIs(t, err, errCrash)
	}
	require.Contains(t, string(w.record), `"state":"`+state.String()+`"`)
	w.troubles = nil
}

// The key is the old token's, and that of the new token was never stored.
func TestRotationWhoseOwnKeyIsGoneIsFinishedByAnotherKeyAndTheID(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{own: true, get: true, patience: time.Second}, func(t *testing.T, w *world) {
		reach(t, w, rotate.StateHanding)
		revoke(t, w, w.old.ID)

		_, err := w.rotation(t).Run(t.Context())
		assert.ErrorIs(t, err, fastly.ErrUnauthorized)
		assert.ErrorContains(t, err, "run again with another key of this user, and the ID "+w.old.ID)
		assert.NotContains(t, err.Error(), w.old.ID+" work")

		r := w.rotation(t)
		r.Client = w.client(t, w.admin.AccessToken)
		_, err = r.Run(t.Context())
		assert.ErrorContains(t, err, "an unfinished rotation of token "+w.old.ID+": run again with its ID")

		r.TokenID = w.old.ID
		result, err := r.Run(t.Context())
		assert.ErrorIs(t, err, fastly.ErrNotFound)
		assert.Equal(t, rotate.StateUnchanged, result.State)
		w.look()
		assert.Empty(t, w.tokens)
	})
}

func TestTokenInUseThatMayNotReadItselfIsNotNamed(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		revoke(t, w, w.old.ID)
		w.place = w.AddToken(w.user.ID, fastly.TokenCreatedResponse{}).AccessToken
		w.troubles = []trouble{at("GET /tokens/self", 2, "403", fastlytest.Fault{Kind: fastlytest.Status, Status: 403})}

		_, err := w.rotation(t).Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrNotFound)
		assert.ErrorContains(t, err, "the destination of the handover holds a token that works, but may not read itself")
	})
}

// Another machine has put it there, and nobody can say which token it is of.
func TestTokenThatMayNotReadItselfIsNotOverwrittenIfItCameDuringTheRotation(t *testing.T) {
	t.Parallel()
	for _, state := range []rotate.State{rotate.StateCreating, rotate.StateHanding, rotate.StateHandedOver} {
		inWorld(t, setup{get: true, grace: time.Minute, noWait: true, patience: time.Second}, func(t *testing.T, w *world) {
			onlyTheAdminReadsItself(w)
			reach(t, w, state)
			other := w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "deploy [r-K3QZ7MPX2A]", Scopes: w.old.Scopes, Services: w.old.Services}})
			w.place = other.AccessToken
			time.Sleep(time.Hour)

			_, err := w.rotation(t).Run(t.Context())

			assert.ErrorContains(t, err, "the destination of the handover", state)
			assert.ErrorContains(t, err, "remove the journal", state)
			assert.Equal(t, other.AccessToken, w.place)
			if state == rotate.StateHandedOver {
				assert.ErrorContains(t, err, "works but may not read itself: remove it from there")
			}
			w.look()
			assert.True(t, w.works(w.old.ID))
		})
	}
}

func TestPageInPlaceOfTheOldTokenSaysNothingAboutIt(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("GET /tokens/ID", 1, "page 404", fastlytest.Fault{Kind: fastlytest.Status, Status: 404, Foreign: true, Body: page})}

		_, err := w.rotation(t).Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrInvalidResponse)
		assert.NotContains(t, err.Error(), "may have rotated")

		gateway := fastlytest.Fault{Kind: fastlytest.Status, Status: 404, Foreign: true, Body: `{"title":"not found","status":404}`}
		w.troubles = []trouble{at("GET /tokens/ID", 2, "gateway 404", gateway)}
		_, err = w.rotation(t).Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrNotFound)
		assert.NotContains(t, err.Error(), "may have rotated")
	})
}

func TestTokenThatAnotherRunHasPutInPlaceOfTheNewOneIsTheOneInUse(t *testing.T) {
	t.Parallel()
	for _, follows := range []bool{false, true} { // to rotate what is at the destination
		inWorld(t, setup{get: true, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
			first, err := w.rotation(t).Run(t.Context())
			require.NoError(t, err)
			time.Sleep(time.Hour)
			other := w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
				Name: "deploy [r-K3QZ7MPX2A]", Scopes: w.old.Scopes, Services: w.old.Services,
			}})
			w.place = other.AccessToken

			r := w.rotation(t)
			if follows {
				r.TokenID = other.ID
			}
			second, err := r.Run(t.Context())

			assert.ErrorContains(t, err, "holds token "+other.ID+", which this one did not create")
			assert.ErrorContains(t, err, "token "+other.ID+" is in use")
			assert.Equal(t, rotate.StateDone, second.State)
			assert.Equal(t, other.ID, second.New.ID)
			assert.Equal(t, []string{first.New.ID, w.old.ID}, second.Revoked)
			w.look()
			assert.True(t, w.rotated(), w.log.String())
		})
	}
}

func TestDestinationThatHoldsAnotherWorkingTokenIsNotOverwritten(t *testing.T) {
	t.Parallel()
	for name, scopes := range map[string]fastly.Scopes{"deploy [r-K3QZ7MPX2A]": nil, "purger": {fastly.ScopePurgeAll}} {
		inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
			token := fastly.TokenResponse{Name: name, Scopes: scopes, Services: w.old.Services}
			if scopes == nil { // as another run of this rotation has made it
				token.Scopes = w.old.Scopes
			}
			other := w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: token})
			w.place = other.AccessToken

			result, err := w.rotation(t).Run(t.Context())

			assert.ErrorContains(t, err, "holds token "+other.ID)
			assert.Equal(t, rotate.StateUnchanged, result.State)
			assert.Zero(t, w.count("POST /tokens"))
			assert.Equal(t, other.AccessToken, w.place)
		})
	}
}

// The key is rejected, and it is not the one that would be rotated.
func TestRejectedKeyIsNotTakenForARotationByAnotherRun(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *world, *rotate.Rotation){
		"at once": func(t *testing.T, w *world, r *rotate.Rotation) { r.Client = w.client(t, "wrong") },
		"before a look": func(t *testing.T, w *world, _ *rotate.Rotation) {
			w.troubles = []trouble{at("GET /tokens/ID", 1, "401", fastlytest.Fault{Kind: fastlytest.Status, Status: 401})}
		},
		"at a create": func(t *testing.T, w *world, _ *rotate.Rotation) {
			w.troubles = []trouble{at("POST /tokens", 1, "401", fastlytest.Fault{Kind: fastlytest.Status, Status: 401})}
		},
	} {
		inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
			r := w.rotation(t)
			change(t, w, r)

			result, err := r.Run(t.Context())

			assert.ErrorIs(t, err, fastly.ErrUnauthorized, name)
			assert.ErrorContains(t, err, "the client's key is rejected: ", name)
			assert.ErrorContains(t, err, "; the destination of the handover holds token "+w.old.ID+", which works; nothing has changed", name)
			assert.NotContains(t, err.Error(), "another run", name)
			assert.Equal(t, rotate.StateUnchanged, result.State, name)
		})
	}
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.Client = w.client(t, "wrong")
		_, err := r.Run(t.Context())
		assert.ErrorContains(t, err, "; if it is that of token "+w.old.ID+", another run may have rotated that; which token is in use is not known")
	})
	const place = "; another run may have rotated the token; the destination of the handover holds "
	for want, change := range map[string]func(*testing.T, *world){ // the key is that of the token
		"a token that does not work": func(t *testing.T, w *world) { revoke(t, w, w.old.ID) },
		"no token": func(_ *testing.T, w *world) {
			w.place = ""
			w.troubles = []trouble{at("POST /tokens", 1, "401", fastlytest.Fault{Kind: fastlytest.Status, Status: 401})}
		},
	} {
		inWorld(t, setup{own: true, get: true}, func(t *testing.T, w *world) {
			change(t, w)
			_, err := w.rotation(t).Run(t.Context())
			assert.ErrorContains(t, err, "the client's key is rejected: ", want)
			assert.ErrorContains(t, err, place+want)
		})
	}
}

func TestDestinationMustHoldTheKeyWhoseTokenIsRotated(t *testing.T) {
	t.Parallel()
	other := func(w *world) fastly.Secret { return w.AddToken(w.user.ID, fastly.TokenCreatedResponse{}).AccessToken }
	for name, place := range map[string]func(*testing.T, *world) fastly.Secret{
		"nothing":                func(*testing.T, *world) fastly.Secret { return "" },
		"the key":                func(_ *testing.T, w *world) fastly.Secret { return w.old.AccessToken },
		"one that works":         func(_ *testing.T, w *world) fastly.Secret { return other(w) },
		"one that does not work": func(*testing.T, *world) fastly.Secret { return "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe" },
		"the key and a line end": func(_ *testing.T, w *world) fastly.Secret { return w.old.AccessToken + "\n" },
		"white space":            func(*testing.T, *world) fastly.Secret { return " \n" },
		"no key":                 func(*testing.T, *world) fastly.Secret { return "not a\ntoken" },
		"one that may not read itself": func(_ *testing.T, w *world) fastly.Secret {
			w.troubles = []trouble{at("GET /tokens/self", 2, "403", fastlytest.Fault{Kind: fastlytest.Status, Status: 403})}
			return other(w)
		},
	} {
		for _, id := range []bool{false, true} {
			inWorld(t, setup{own: true, get: true}, func(t *testing.T, w *world) {
				w.place = place(t, w)
				r := w.rotation(t)
				if id {
					r.TokenID = w.old.ID
				}

				result, err := r.Run(t.Context())

				isFree := slices.Contains([]string{"nothing", "white space", "no key", "the key", "the key and a line end"}, name)
				if isFree || id && name != "one that works" {
					require.NoError(t, err, name)
					assert.Equal(t, rotate.StateDone, result.State, name)
					return
				}
				assert.ErrorContains(t, err, "the destination of the handover holds ", name)
				assert.ErrorContains(t, err, "or remove it from there; nothing has changed", name)
				assert.NotContains(t, w.ops, "POST /tokens", name)
			})
		}
	}
}

func TestRevokedTokenThatIsPutInPlaceLateIsReplaced(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		late := fastly.Secret("")
		r := w.rotation(t)
		r.Handover.Put = func(_ context.Context, token *fastly.TokenCreatedResponse) error {
			late = token.AccessToken
			return rotate.ErrMaybeHandedOver
		}
		_, err := r.Run(t.Context())
		require.ErrorIs(t, err, rotate.ErrMaybeHandedOver)
		w.troubles = []trouble{at("POST /tokens", 2, crashBefore, fastlytest.Fault{})}
		_, err = w.rotate(t)
		require.ErrorIs(t, err, errCrash)
		w.place = late

		_, err = w.rotation(t).Run(t.Context())

		require.NoError(t, err, w.log.String())
		w.look()
		assert.True(t, w.rotated())
	})
}

func TestFirewallDoesNotReplaceAGoodToken(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"a page":         {Kind: fastlytest.Status, Status: 403, Foreign: true, Body: page, Times: -1},
		"a 401 page":     {Kind: fastlytest.Status, Status: 401, Foreign: true, Body: page, Times: -1},
		"a gateway":      {Kind: fastlytest.Status, Status: 401, Foreign: true, Body: `{"title":"no"}`, Times: -1},
		"a 401 for long": {Kind: fastlytest.Status, Status: 401, Times: -1},
	} {
		for _, get := range []bool{true, false} {
			inWorld(t, setup{get: get, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
				first, err := w.rotation(t).Run(t.Context())
				require.NoError(t, err, name)
				time.Sleep(time.Hour)
				fault.Path = "/tokens/self"
				looks := 0
				before := w.before
				w.before = func(r *http.Request) bool {
					if looks++; looks == 2 { // after Client's own
						w.Inject(fault)
					}
					return before(r)
				}

				second, err := w.rotation(t).Run(t.Context())

				w.ClearFaults()
				w.look()
				assert.True(t, w.works(first.New.ID), name)
				assert.NotContains(t, w.ops[slices.Index(w.ops, "unlock"):], "POST /tokens", name)
				assert.NotContains(t, second.Left, first.New.ID, name)
				if err != nil {
					assert.True(t, get, "%s: %v", name, err)
					assert.Equal(t, rotate.StateHandedOver, second.State, name)
				}
			})
		}
	}
}

func TestClientThatCannotUseAnotherKeyNeedsConnect(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.Connect = nil
		var err error
		r.Client, err = fastly.NewClient(fastly.WithBaseURL(w.URL),
			fastly.WithTransport(&fastly.APIKeyTransport{Key: w.admin.AccessToken, Host: strings.TrimPrefix(w.URL, "http://"), Base: w.wire}))
		require.NoError(t, err)

		result, err := r.Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrInvalidArgument)
		assert.ErrorContains(t, err, "needs Connect")
		assert.Equal(t, rotate.StateUnknown, result.State)
		assert.Empty(t, w.ops)
	})
}
