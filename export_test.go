package fastly

// Pure functions whose tables of cases don't need a server.
var (
	RetryAfterHeader = retryAfter
	OneLine          = oneLine
	CutText          = cutText
	MarkOf           = markOf
	IsStrict         = isStrict
)
