package enforcement

import (
	"strings"
)

// webSocket are the header lines of a WebSocket's beginning.
var webSocket = []string{
	"Host: " + host, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
}

// requestProbes are requests that are refused for something else than the token, which is good where there is one.
func requestProbes() []probe {
	var all []probe
	add := func(name, why string, f func(w *world) string) {
		name = "request: " + name
		all = append(all, probe{name, func(w *world) error { return w.turnedAway(f(w), expected(name, why)) }})
	}
	// with adds a probe whose request has the good token and the given headers beside or instead of the usual ones.
	with := func(name, why, line string, headers ...string) {
		add(name, why, func(w *world) string { return request(line, append([]string{bearer(w.good())}, headers...)...) })
	}
	const line, hostLine = "GET /path?q=1", "Host: " + host

	// ---- host
	with("no host", "bad_host", line)
	with("empty host", "bad_host", line, "Host:")
	with("two hosts", malformed, line, hostLine, "Host: "+opsHost)
	with("a list of hosts", "bad_host", line, "Host: "+host+","+opsHost)
	with("a list of hosts, ours last", "bad_host", line, "Host: "+opsHost+", "+host)
	with("host with user", "bad_host", line, "Host: evil@"+host)
	with("host with path", "bad_host", line, "Host: "+host+"/x")
	with("host with space", "bad_host", line, "Host: "+host+" x")
	with("host with tab", "bad_host", line, "Host: "+host+"\tx")
	with("host with per cent", "bad_host", line, "Host: billing%2eexample")
	with("host with NUL", "bad_host", line, "Host: "+host+"\x00")
	with("host with a letter in the port", "bad_host", line, "Host: "+host+":80a")
	with("host with an empty port", "bad_host", line, "Host: "+host+":")
	with("host with two ports", "bad_host", line, "Host: "+host+":80:81")
	with("host with a long port", "bad_host", line, "Host: "+host+":123456")
	with("host with another alphabet", "bad_host", line, "Host: bіlling.example")
	with("host with a newline before it", malformed, line, "Host: \r\n\r"+host)
	with("host of 300 bytes", "bad_host", line, "Host: "+strings.Repeat("a", 300))
	with("host with a final dot", "unknown_service", line, "Host: "+host+".")
	with("host with an underscore", "unknown_service", line, "Host: billing_example")
	with("host that is an address", "unknown_service", line, "Host: 127.0.0.1")
	with("host that is an IPv6 address", "unknown_service", line, "Host: [::1]:8080")
	with("host under ours", "unknown_service", line, "Host: x."+host)
	with("host over ours", "unknown_service", line, "Host: example")
	with("host with more", "unknown_service", line, "Host: "+host+".evil.example")
	with("host that is a pool's name", "bad_host", line, "Host: prod/billing")
	with("host folded", "bad_host", line, "Host: billing\r\n .example")
	with("host in another header alone", "bad_host", line, "X-Forwarded-Host: "+host, "X-Host: "+host)
	with("HTTP/1.0 style without host", "bad_host", line)
	add("unknown host without token", "unknown_service", func(*world) string { return get("nobody.example") })

	// ---- target and method
	with("absolute target of another host", malformed, "GET http://"+opsHost+"/", hostLine)
	with("absolute target of our host, another in the header", malformed, "GET http://"+host+"/", "Host: "+opsHost)
	with("absolute target with another port", malformed, "GET http://"+host+":81/", hostLine)
	with("absolute target with user", "bad_target", "GET http://evil@"+host+"/", hostLine)
	with("absolute target without path", "bad_target", "GET http://"+host, hostLine)
	with("absolute target of another scheme", "bad_target", "GET ftp://"+host+"/", hostLine)
	with("asterisk", "bad_target", "OPTIONS *", hostLine)
	with("target without slash", malformed, "GET path", hostLine)
	with("CONNECT", "bad_method", "CONNECT "+host+":80", "Host: "+host+":80")
	with("CONNECT with a path", malformed, "CONNECT /", hostLine)
	with("TRACE", "bad_method", "TRACE /", hostLine)
	with("TRACK", "bad_method", "TRACK /", hostLine)
	with("method with a space", malformed, "GE T /", hostLine)
	add("HTTP/0.9", malformed, func(*world) string { return "GET /\r\n\r\n" })
	add("no HTTP at all", malformed, func(*world) string { return "hello\r\n\r\n" })

	// ---- hop by hop
	with("Connection names our header", "bad_connection", line, hostLine, "Connection: X-Forwarded-User")
	with("Connection names our header after keep-alive", "bad_connection", line, hostLine, "Connection: keep-alive, x-clutch-grant")
	with("Connection names our header in a second line", "bad_connection", line, hostLine, "Connection: close", "Connection: X-Forwarded-User")
	with("Connection names Authorization", "bad_connection", line, hostLine, "Connection: Authorization")
	with("Connection names Cookie", "bad_connection", line, hostLine, "Connection: close,Cookie")
	with("Connection names Host", "bad_connection", line, hostLine, "Connection: host")
	with("Connection names HTTP2-Settings", "bad_connection", line, append(webSocket, "Connection: HTTP2-Settings")...)
	with("upgrade to h2c", "bad_upgrade", line, hostLine, "Connection: Upgrade", "Upgrade: h2c")
	with("upgrade to h2c in another case", "bad_upgrade", line, hostLine, "Connection: Upgrade", "Upgrade: H2C")
	with("upgrade to h2c in a second line", "bad_upgrade", line, append(webSocket, "Upgrade: h2c")...)
	with("upgrade to websocket and h2c in one line", "bad_upgrade", line, append(webSocket, "Upgrade: h2c, websocket")...)
	with("upgrade to TLS", "bad_upgrade", line, hostLine, "Connection: Upgrade", "Upgrade: TLS/1.0")

	// ---- body
	with("two lengths", malformed, "POST /", hostLine, "Content-Length: 0", "Content-Length: 5")
	with("a negative length", malformed, "POST /", hostLine, "Content-Length: -1")
	with("a length with plus", malformed, "POST /", hostLine, "Content-Length: +5")
	with("an unknown transfer coding", malformed, "POST /", hostLine, "Transfer-Encoding: xchunked")
	with("chunked twice", malformed, "POST /", hostLine, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
	with("a space before the colon", malformed, line, hostLine, "X-Forwarded-User : root")
	with("a bare carriage return", malformed, line, hostLine, "X: a\rX-Forwarded-User: root")

	credentialProbes(add)
	poolProbes(add)
	return all
}

// credentialProbes have more, fewer or other credentials than one token.
func credentialProbes(add func(name, why string, f func(*world) string)) {
	headers := func(name, why string, f func(token string) []string) {
		add(name, why, func(w *world) string { return get(host, f(w.good())...) })
	}
	headers("no token", "no_token", func(string) []string { return nil })
	headers("no token, but a query", "no_token", func(t string) []string { return []string{"X-Query: access_token=" + t} })
	add("token in the query", "no_token", func(w *world) string {
		return request("GET /?access_token="+w.good()+"&clutch_access="+w.good(), "Host: "+host)
	})
	headers("token in other headers", "no_token", func(t string) []string {
		return []string{"X-Access-Token: " + t, "Proxy-Authorization: Bearer " + t, "X-Auth-Token: " + t, "X-Forwarded-Access-Token: " + t}
	})
	headers("identity headers alone", "no_token", func(string) []string {
		return []string{"X-Forwarded-User: alice@example.com", "X-Clutch-Grant: 1", "Remote-User: alice@example.com"}
	})
	headers("two Authorization headers", "many_credentials", func(t string) []string { return []string{bearer(t), bearer(t)} })
	headers("a bad Authorization header after a good one", "many_credentials", func(t string) []string { return []string{bearer(t), bearer("x.y.z")} })
	headers("Basic beside Bearer", "many_credentials", func(t string) []string { return []string{"Authorization: Basic eDp5", bearer(t)} })
	headers("two tokens in one header", "many_credentials", func(t string) []string { return []string{bearer(t + ", " + t)} })
	headers("a comma after the token", "many_credentials", func(t string) []string { return []string{bearer(t + ",x")} })
	headers("two schemes in one header", "many_credentials", func(t string) []string { return []string{"Authorization: Basic eDp5, Bearer " + t} })
	headers("header and cookie", "many_credentials", func(t string) []string { return []string{bearer(t), "Cookie: clutch_access=" + t} })
	headers("Basic and cookie", "many_credentials", func(t string) []string { return []string{"Authorization: Basic eDp5", "Cookie: clutch_access=" + t} })
	headers("an empty Authorization and a cookie", "many_credentials", func(t string) []string { return []string{"Authorization:", "Cookie: clutch_access=" + t} })
	headers("two cookies of the name", "many_credentials", func(t string) []string { return []string{"Cookie: clutch_access=" + t + "; clutch_access=" + t} })
	headers("a bad cookie of the name after a good one", "many_credentials", func(t string) []string { return []string{"Cookie: clutch_access=" + t + "; clutch_access=x"} })
	headers("two Cookie headers", "bad_cookie", func(t string) []string { return []string{"Cookie: clutch_access=" + t, "Cookie: clutch_access=" + t} })
	headers("two Cookie headers, one without ours", "bad_cookie", func(t string) []string { return []string{"Cookie: a=b", "Cookie: clutch_access=" + t} })
	headers("our cookie hidden in quotes twice", "bad_cookie", func(t string) []string {
		return []string{bearer(t), `Cookie: a="x; clutch_access=` + t + `; clutch_access=` + t + `; b=y"`}
	})
	headers("Basic", "not_bearer", func(string) []string { return []string{"Authorization: Basic YWxpY2U6eA=="} })
	headers("Basic with the token as password", "not_bearer", func(t string) []string { return []string{"Authorization: Basic " + t} })
	headers("Digest", "not_bearer", func(string) []string { return []string{`Authorization: Digest username="alice@example.com"`} })
	headers("Clutch's own scheme", "not_bearer", func(t string) []string { return []string{"Authorization: Token " + t} })
	headers("token without scheme", "not_bearer", func(t string) []string { return []string{"Authorization: " + t} })
	headers("scheme without token", "not_bearer", func(string) []string { return []string{"Authorization: Bearer"} })
	headers("scheme and a space", "not_bearer", func(string) []string { return []string{"Authorization: Bearer "} })
	headers("empty Authorization", "not_bearer", func(string) []string { return []string{"Authorization:"} })
	headers("Bearer glued to the token", "not_bearer", func(t string) []string { return []string{"Authorization: Bearer" + t} })
	headers("Bearer with a colon", "not_bearer", func(t string) []string { return []string{"Authorization: Bearer: " + t} })
	headers("Bearer twice", "malformed_token", func(t string) []string { return []string{"Authorization: Bearer Bearer " + t} })
	headers("token in quotes", "malformed_token", func(t string) []string { return []string{`Authorization: Bearer "` + t + `"`} })
	headers("token and a parameter", "malformed_token", func(t string) []string { return []string{"Authorization: Bearer " + t + " realm=x"} })
	headers("token and a semicolon", "malformed_token", func(t string) []string { return []string{bearer(t + ";x")} })
	headers("cookie in quotes", "malformed_token", func(t string) []string { return []string{`Cookie: clutch_access="` + t + `"`} })
	headers("an empty cookie", "no_token", func(string) []string { return []string{"Cookie: clutch_access="} })
	headers("cookie in upper case", "no_token", func(t string) []string { return []string{"Cookie: CLUTCH_ACCESS=" + t} })
	headers("cookie with a prefix", "no_token", func(t string) []string { return []string{"Cookie: x_clutch_access=" + t} })
	headers("a long cookie", "token_too_long", func(string) []string { return []string{"Cookie: clutch_access=" + strings.Repeat("a", 5000)} })
}

// poolProbes ask with a good token for what it is not for.
func poolProbes(add func(name, why string, f func(*world) string)) {
	add("another pool", "bad_aud", func(w *world) string { return get(opsHost, bearer(w.good())) })
	add("the same pool in another environment", "bad_aud", func(w *world) string { return get(stagingHost, bearer(w.good())) })
	add("another pool with the identity provider's token", "no_grant", func(w *world) string { return get(opsHost, bearer(w.named("idp"))) })
	add("HEAD without token", "no_token", func(*world) string { return request("HEAD /", "Host: "+host) })
	add("POST without token", "no_token", func(*world) string {
		return request("POST /", "Host: "+host, "Content-Length: 5") + "hello"
	})
	add("preflight without token", "no_token", func(*world) string {
		return request("OPTIONS /", "Host: "+host, "Origin: https://evil.example", "Access-Control-Request-Method: POST")
	})
	add("WebSocket without token", "no_token", func(*world) string {
		return request("GET /", webSocket...)
	})
}
