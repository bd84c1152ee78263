package fastly_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func ExampleNewClientFromEnv() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	// A shell does this before it starts the program.
	defer export("FASTLY_API_TOKEN", srv.Key().Reveal())()
	defer export("FASTLY_API_URL", srv.URL)()

	client, err := fastly.NewClientFromEnv(fastly.WithUserAgent("deploy-tool/1.4"))
	if err != nil {
		log.Fatal(err) // says which variable to set
	}
	token, err := client.Tokens.GetTokenCurrent(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Name)
	// Output:
	// default
}

// export sets an environment variable and returns a function that undoes it.
func export(name, value string) (undo func()) {
	before, found := os.LookupEnv(name)
	if err := os.Setenv(name, value); err != nil {
		log.Fatal(err)
	}
	return func() {
		err := os.Unsetenv(name)
		if found {
			err = os.Setenv(name, before)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}
