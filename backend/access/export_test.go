package access

// PageToken is what ParsePageToken reads, EventToken what ParseEventToken does.
var (
	PageToken  = pageToken
	EventToken = eventToken
	CheckText  = checkText
)
