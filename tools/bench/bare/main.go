// Command bare prints a token with bare net/http and encoding/json, for comparison
// with the same program that uses the library.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func main() {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.fastly.com/tokens/self", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Fastly-Key", os.Getenv("FASTLY_API_TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	var t token
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil {
		panic(err)
	}
	fmt.Println(t.ID, t.Name, t.ExpiresAt)
}
