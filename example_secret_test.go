package fastly_test

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/fastly-tokens/fastly"
)

func ExampleSecret() {
	login := struct {
		User     string
		Password fastly.Secret
	}{"ada@example.com", "correct horse"}

	fmt.Println(login)
	fmt.Printf("%+v %x %q\n", login, login.Password, login.Password)
	text, err := json.Marshal(login)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))

	// Reveal is the way to its value.
	fmt.Println(len(login.Password.Reveal()), "characters")
	// Output:
	// {ada@example.com [REDACTED]}
	// {User:ada@example.com Password:[REDACTED]} [REDACTED] [REDACTED]
	// {"User":"ada@example.com","Password":"[REDACTED]"}
	// 13 characters
}
