// Audit finds the API tokens of a user, or of a whole customer, that are a risk or
// about to be a problem:
//
//	never-expires  they have no end date
//	expiring       they end within 30 days (-expiring)
//	unused         they were not used for 90 days (-unused); one that never was
//	               counts from its creation
//	global         they have the scope global
//	all-services   they reach every service of the account
//
// It is for a person at a terminal, who gets a table, and for CI, which goes by
// the exit code and can have JSON or CSV. (Under go run each exit code but 0
// becomes 1, which here means findings: a job has to build it first.)
//
//	go install ./examples/audit
//	audit                              # your own tokens
//	audit -customer self               # those of your account
//	audit -ignore global -json
//	audit -unused 180d -revoke-unused  # asks first
//
// The credentials come from FASTLY_API_TOKEN (or FASTLY_API_KEY). Without them,
// or with -demo, it audits the made-up tokens of an embedded server; but -json,
// -csv, -customer and -revoke-unused are for real ones, unless -demo says
// otherwise: a job that has lost its key must not go green.
//
// Flags:
//
//	-customer ID     every token of this customer, which takes a superuser ("self":
//	                 your own); default: only your user's tokens
//	-expiring TIME   such as 30d, 12h or 90m; default 30d
//	-unused TIME     default 90d
//	-ignore LIST     comma-separated findings to leave out
//	-json, -csv      the result as JSON or CSV instead of a table
//	-revoke-unused   revoke what was found unused, after a confirmation; never the
//	                 token it runs with
//	-yes             no confirmation; without a terminal, -revoke-unused needs it
//	-demo            use the embedded server whatever the environment says
//
// Exit codes: 0 nothing was found, or all of it was revoked; 1 there are
// findings; 2 an error, wrong flags included; 130 after Ctrl-C.
//
// Names of tokens come from the network. In the table and in CSV their control
// characters are escaped, and a CSV cell that a spreadsheet would take for a
// formula begins with an apostrophe. Colour is for terminals only, and NO_COLOR
// turns it off.
//
// A run in the embedded server:
//
//	$ go run ./examples/audit -demo -customer self -revoke-unused -yes
//	Using an embedded server with made-up tokens (-demo); nothing leaves this machine.
//	ID                      NAME             EXPIRES       LAST USED       SCOPE         SERVICES
//	user urhNBC0ZF0VwXG90YB467M
//	0wKdJy4AtSn7ReXp9qGh2Z  laptop of Olga   never!        14 months ago!  global!       every!
//	c5FoLouENJCJR8FPEQIdic  default          never!        now             global!       every!
//	3tGqLw8ZnRb5XcVh1jKy7D  terraform-prod   in 8 days!    2 hours ago     global!       every!
//	8bCzMi6QoHr3VgLs0xFu1P  metrics-export   never!        3 minutes ago   global:read   every!
//	user 4kWnXe7RtLq0ZsYb2mHc9A
//	7rLoKw3CzVd6HxJf8iSp5E  old-jenkins      never!        never!          global!       every!
//	2hXaQs9FgPj4TnUy7bMe0V  ada's shell      in 26 days!   22 hours ago    global:read   3
//	1mYtGb5RqNu0WkAe4vZh9J  image-purge      in 2 days!    9 minutes ago   purge_all     1
//	user 9eHsYj2MwAv7LbKi4nQx0C
//	3fKcJs9YwZu1DvGa5eQb2X  Müllers Skript   in 29 days!   3 months ago!   global!       1
//	8gPxVo6TiBn0MqRl4hEy7S  nightly-backup   never!        13 hours ago    global:read   every!
//	user 1cVzPq5NdGx8JuTf3oRk6B
//	0jWmUp7KfXi4CbLo8qVg6T  purge from chat  never!        13 months ago!  purge_select  1
//	4pSiDf8XoLc2TyMr6wUj7K  dashboards       in 11 months  31 seconds ago  global:read   every!
//
//	Findings (!) about 11 of 13 tokens:
//	    6 never expire
//	    4 expire within 30d
//	    4 were not used for 90d
//	    5 have the scope global
//	    7 reach every service
//
//	revoked      0wKdJy4AtSn7ReXp9qGh2Z  laptop of Olga
//	revoked      7rLoKw3CzVd6HxJf8iSp5E  old-jenkins
//	revoked      3fKcJs9YwZu1DvGa5eQb2X  Müllers Skript
//	revoked      0jWmUp7KfXi4CbLo8qVg6T  purge from chat
//	exit status 1
package main
