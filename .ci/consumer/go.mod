module example.com/consumer

go 1.26.0

require github.com/fastly-tokens/fastly v0.0.0

require (
	github.com/go-json-experiment/json v0.0.0-20260820222146-c27c302e5fc3 // indirect
	github.com/google/go-querystring v1.2.0 // indirect
)

replace github.com/fastly-tokens/fastly => ../..
