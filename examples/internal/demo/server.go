package demo

import (
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// IDs of the made-up services that tokens are limited to.
const (
	ServiceWWW    = "6pQ3vWcZr1LkT8mYxN0bHd"
	ServiceShop   = "2fJt9sRaUe7GhKq4CwXz5M"
	ServiceImages = "0yBnV6iPdS3oLxEg8TcQ1k"
	ServiceAPI    = "7aMhZ4uFjW2rYbK9sDvN6t"
)

// Ada returns a user of the embedded server with a password and two-factor
// authentication (one code that is always right), to log in as. It is all made up.
func Ada() fastlytest.User {
	return fastlytest.User{
		ID:       "4kWnXe7RtLq0ZsYb2mHc9A",
		Login:    "ada@example.com",
		Password: "made-up-password",
		OTP:      "314159",
	}
}

const day = 24 * time.Hour

// Start starts an embedded Tokens API with the tokens of a made-up company: 14
// tokens of four users, besides the one named "default" that
// [fastlytest.Server.Client] uses. Among them are tokens that never expire, expire
// soon, expired long ago (the API no longer lists those), were never used or not
// for a year, and tokens of each scope and for one, some or all services. Times
// are relative to the server's clock at its start.
//
// The default user is a superuser, who may list and revoke all of them.
func Start(opts ...fastlytest.Option) *fastlytest.Server {
	srv := fastlytest.NewServer(opts...)
	now := srv.Tokens()[0].CreatedAt

	owner := srv.User()
	ada := srv.AddUser(Ada())
	grace := srv.AddUser(fastlytest.User{ID: "1cVzPq5NdGx8JuTf3oRk6B", Login: "grace@example.com"})
	robot := srv.AddUser(fastlytest.User{ID: "9eHsYj2MwAv7LbKi4nQx0C", Login: "robot@example.com"})

	global := fastly.Scopes{fastly.ScopeGlobal}
	read := fastly.Scopes{fastly.ScopeGlobalRead}
	purge := fastly.Scopes{fastly.ScopePurgeSelect}
	purgeAll := fastly.Scopes{fastly.ScopePurgeAll}
	for _, t := range []struct {
		user     fastlytest.User
		id, name string
		scopes   fastly.Scopes
		services []string
		age      time.Duration
		left     time.Duration // until it expires; 0: it never does
		idle     time.Duration // since its last use; 0: never used
		ip       string
		agent    string
	}{
		{owner, "3tGqLw8ZnRb5XcVh1jKy7D", "terraform-prod", global, nil,
			82 * day, 8 * day, 2 * time.Hour, "203.0.113.17", "Terraform/1.13.4"},
		{owner, "5sNpEx2UkYf9WdTa6mJv4G", "www-purge", purge, []string{ServiceWWW},
			27 * day, 153 * day, 4 * time.Minute, "198.51.100.8", "www-deploy/2.11"},
		{owner, "8bCzMi6QoHr3VgLs0xFu1P", "metrics-export", read, nil,
			611 * day, 0, 3 * time.Minute, "192.0.2.44", "prometheus-exporter/3.2"},
		{owner, "0wKdJy4AtSn7ReXp9qGh2Z", "laptop of Olga", global, nil,
			1034 * day, 0, 423 * day, "198.51.100.201", "curl/8.4.0"},
		{owner, "6vUfBo1LmDz8YiWc5kTr3N", "load test", purgeAll, []string{ServiceShop, ServiceAPI},
			420 * day, -300 * day, 305 * day, "203.0.113.99", "k6/0.52.0"},

		{ada, "2hXaQs9FgPj4TnUy7bMe0V", "ada's shell", read, []string{ServiceWWW, ServiceShop, ServiceAPI},
			64 * day, 26 * day, 22 * time.Hour, "203.0.113.61", "fastly-cli/13.0.0"},
		{ada, "7rLoKw3CzVd6HxJf8iSp5E", "old-jenkins", global, nil,
			1190 * day, 0, 0, "", ""},
		{ada, "1mYtGb5RqNu0WkAe4vZh9J", "image-purge", purgeAll, []string{ServiceImages},
			28 * day, 2 * day, 9 * time.Minute, "192.0.2.130", "image-builder/0.9"},

		{grace, "4pSiDf8XoLc2TyMr6wUj7K", "dashboards", read, nil,
			35 * day, 330 * day, 30 * time.Second, "192.0.2.77", "Grafana/12.2.1"},
		{grace, "9nEvHa1GzQt5BkYs3xRd0F", "incident 41", global, nil,
			431 * day, -424 * day, 425 * day, "203.0.113.5", "curl/8.5.0"},
		{grace, "0jWmUp7KfXi4CbLo8qVg6T", "purge from chat", purge, []string{ServiceWWW},
			772 * day, 0, 391 * day, "198.51.100.64", "chat-ops/1.3"},

		{robot, "5uZrNy2SdHe9AtFw1cJk3M", "deploy", fastly.Scopes{fastly.ScopePurgeSelect, fastly.ScopePurgeAll},
			[]string{ServiceWWW, ServiceShop, ServiceImages, ServiceAPI},
			10 * day, 80 * day, 5 * time.Minute, "192.0.2.10", "deploy-tool/4.7"},
		{robot, "8gPxVo6TiBn0MqRl4hEy7S", "nightly-backup", read, nil,
			903 * day, 0, 13 * time.Hour, "192.0.2.11", "backup/1.0"},
		{robot, "3fKcJs9YwZu1DvGa5eQb2X", "Müllers Skript", global, []string{ServiceAPI},
			154 * day, 29 * day, 97 * day, "203.0.113.140", "python-requests/2.32.3"},
	} {
		token := fastly.TokenResponse{
			ID: t.id, Name: t.name, Scopes: t.scopes, Services: t.services,
			CreatedAt: now.Add(-t.age), IP: t.ip, UserAgent: t.agent,
		}
		if t.left != 0 {
			token.ExpiresAt = now.Add(t.left)
		}
		if t.idle != 0 {
			token.LastUsedAt = now.Add(-t.idle)
		}
		srv.AddToken(t.user.ID, fastly.TokenCreatedResponse{TokenResponse: token})
	}
	return srv
}
