// Command library prints a token with the library, for comparison with the same
// program that uses bare net/http.
package main

import (
	"context"
	"fmt"

	"github.com/fastly-tokens/fastly"
)

func main() {
	client, err := fastly.NewClientFromEnv()
	if err != nil {
		panic(err)
	}
	t, err := client.Tokens.GetTokenCurrent(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(t.ID, t.Name, t.ExpiresAt)
}
