package access

// PageToken is what ParsePageToken reads.
var PageToken = pageToken
