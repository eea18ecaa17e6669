package tokencorpus

import (
	"strconv"
	"strings"
)

// Case is one token and the verdict on it, for a request to Pool where the row of Subject names GrantID.
type Case struct {
	Name string
	// Token makes the token.
	Token func(Keys) string
	// Why is the reason of the refusal; empty for a token that is accepted.
	Why string
	// Groups is what the service is told, where the token is accepted.
	Groups string
	// Fresh says that the verdict is about the very seconds after Keys.Now.
	Fresh bool
}

// Cases are all of them. The good ones come first.
func Cases() []Case {
	var all []Case
	for _, part := range [][]Case{good(), form(), signature(), ourClaims(), times(), duplicates(), idp()} {
		all = append(all, part...)
	}
	return all
}

// ours is a case with one claim of our token changed; nil removes it.
func ours(name, claim string, value any, why string) Case {
	return Case{Name: name, Why: why, Token: func(k Keys) string { return SignOurs(k, Ours(k).With(claim, value)) }}
}

// idpCase is a case with one claim of the identity provider's token changed.
func idpCase(name, claim string, value any, why string) Case {
	return Case{Name: "idp: " + name, Why: why, Token: func(k Keys) string { return SignIDP(k, IDP(k).With(claim, value)) }}
}

// text is a case with the text of our good payload changed.
func text(name, old, new, why string) Case {
	return Case{Name: name, Why: why, Token: func(k Keys) string { return editOurs(k, old, new) }}
}

// at is a case with a time claim of ours that many seconds from now.
func at(name, claim string, seconds int64, why string) Case {
	return Case{Name: name, Why: why, Token: func(k Keys) string { return SignOurs(k, Ours(k).With(claim, k.Now.Unix()+seconds)) }}
}

// raw is a case with a time claim of ours replaced by any JSON text.
func raw(name, claim, json, why string) Case {
	return Case{Name: name, Why: why, Token: func(k Keys) string {
		number := map[string]int64{"exp": 600, "iat": 0, "nbf": -30}[claim] + k.Now.Unix()
		return editOurs(k, `"`+claim+`":`+strconv.FormatInt(number, 10), `"`+claim+`":`+json)
	}}
}

func good() []Case {
	return []Case{
		{Name: "ours", Token: func(k Keys) string { return SignOurs(k, Ours(k)) }, Groups: Groups},
		{Name: "ours, signed by the next key", Token: func(k Keys) string { return Sign(k.ClutchNext, "at+jwt", Ours(k)) }, Groups: Groups},
		{Name: "ours without groups", Token: func(k Keys) string { return SignOurs(k, Ours(k).With("groups", nil)) }},
		{Name: "ours with spaces between the claims", Groups: Groups, Token: func(k Keys) string {
			return signOurText(k, strings.NewReplacer(`":`, `" : `, `,"`, ` , "`, `}`, ` }`).Replace(string(marshal(Ours(k)))))
		}},
		{Name: "ours, issued 3 seconds ahead", Fresh: true, Groups: Groups, Token: func(k Keys) string { return SignOurs(k, Ours(k).With("iat", k.Now.Unix()+3)) }},
		{Name: "ours, valid in 3 seconds", Fresh: true, Groups: Groups, Token: func(k Keys) string { return SignOurs(k, Ours(k).With("nbf", k.Now.Unix()+3)) }},
		{Name: "ours with an unknown header that looks like one", Groups: Groups, Token: func(k Keys) string {
			return signText(k.Clutch.Private, `{"CRIT":["exp"],"alg":"RS256","kid":"`+k.Clutch.KID+`","typ":"at+jwt"}`, string(marshal(Ours(k))))
		}},
		{Name: "idp", Token: func(k Keys) string { return SignIDP(k, IDP(k)) }},
		{Name: "idp with a list of one audience", Token: func(k Keys) string { return SignIDP(k, IDP(k).With("aud", []string{IDPAudience})) }},
		{Name: "idp with an upper-case address", Token: func(k Keys) string { return SignIDP(k, IDP(k).With("email", "Alice@Example.COM")) }},
		{Name: "idp with a list of groups", Groups: "engineering,oncall", Token: func(k Keys) string {
			return SignIDP(k, IDP(k).With("groups", []string{"engineering", "oncall"}))
		}},
		{Name: "idp with a string of groups", Groups: "a,b", Token: func(k Keys) string { return SignIDP(k, IDP(k).With("groups", "a,b")) }},
		{Name: "idp with a group that breaks out of its quotes gives no groups", Token: func(k Keys) string {
			return SignIDP(k, IDP(k).With("groups", []string{`x","admin`}))
		}},
		{Name: "idp with a group with a comma gives no groups", Token: func(k Keys) string {
			return SignIDP(k, IDP(k).With("groups", []string{"x,admin"}))
		}},
	}
}

func form() []Case {
	goodToken := func(k Keys) string { return SignOurs(k, Ours(k)) }
	change := func(name, why string, f func(string) string) Case {
		return Case{Name: name, Why: why, Token: func(k Keys) string { return f(goodToken(k)) }}
	}
	part := func(token string, i int) string { return strings.Split(token, ".")[i] }
	return []Case{
		change("a word", "malformed_token", func(string) string { return "token" }),
		change("two parts", "malformed_token", func(s string) string { return part(s, 0) + "." + part(s, 1) }),
		change("two parts and a dot", "malformed_token", func(s string) string { return part(s, 0) + "." + part(s, 1) + "." }),
		change("four parts", "malformed_token", func(s string) string { return s + ".x" }),
		change("a dot at the end", "malformed_token", func(s string) string { return s + "." }),
		change("five parts, as if encrypted", "malformed_token", func(s string) string { return s + ".x.y" }),
		change("no payload", "malformed_token", func(s string) string { return part(s, 0) + ".." + part(s, 2) }),
		change("dots alone", "malformed_token", func(string) string { return ".." }),
		change("padding", "malformed_token", func(s string) string { return s + "=" }),
		change("standard base64", "malformed_token", func(s string) string { return part(s, 0) + "." + part(s, 1) + "./+" + part(s, 2)[2:] }),
		change("a per cent sign", "malformed_token", func(s string) string { return s + "%00" }),
		change("a space in the middle", "malformed_token", func(s string) string { return part(s, 0) + " ." + part(s, 1) + "." + part(s, 2) }),
		change("something after a space", "malformed_token", func(s string) string { return s + " x" }),
		change("5 KB", "token_too_long", func(s string) string { return s + strings.Repeat("A", 5<<10-len(s)) }),
		{Name: "5 KB, well signed", Why: "token_too_long", Token: func(k Keys) string {
			return SignOurs(k, Ours(k).With("groups", strings.Repeat("g", 5<<10)))
		}},
		change("header that is no JSON", "bad_alg", func(s string) string { return encode([]byte("RS256")) + "." + part(s, 1) + "." + part(s, 2) }),
		{Name: "payload that is no JSON", Why: "bad_iss", Token: func(k Keys) string { return signOurText(k, "hello") }},
		{Name: "payload that is a list", Why: "bad_iss", Token: func(k Keys) string { return signOurText(k, "["+string(marshal(Ours(k)))+"]") }},
		{Name: "payload that is empty", Why: "bad_iss", Token: func(k Keys) string { return signOurText(k, "{}") }},
	}
}

func signature() []Case {
	none := func(name, alg string) Case {
		return Case{Name: name, Why: "bad_alg", Token: func(k Keys) string {
			return unsigned(k, `{"alg":`+alg+`,"kid":"`+k.Clutch.KID+`","typ":"at+jwt"}`, "AA")
		}}
	}
	kid := func(name, value string) Case {
		return Case{Name: name, Why: "unknown_kid", Token: func(k Keys) string {
			return signText(k.Clutch.Private, `{"alg":"RS256","kid":`+value+`,"typ":"at+jwt"}`, string(marshal(Ours(k))))
		}}
	}
	hs := func(k Keys) string { return edit(header(k.Clutch.KID), "RS256", "HS256") }
	return []Case{
		none("alg none", `"none"`), none("alg None", `"None"`), none("alg NONE", `"NONE"`), none("alg empty", `""`),
		none("alg null", `null`), none("alg a number", `256`), none("alg a list", `["RS256"]`), none("alg an object", `{"RS256":1}`),
		none("alg lower case", `"rs256"`), none("alg with a space", `"RS256 "`), none("alg with a newline", `"RS256\n"`),
		{Name: "alg missing", Why: "bad_alg", Token: func(k Keys) string { return unsigned(k, `{"kid":"`+k.Clutch.KID+`"}`, "AA") }},
		{Name: "HS256 with the public key as secret", Why: "bad_alg", Token: func(k Keys) string { return hmacToken(hs(k), Ours(k), k.Clutch.Public) }},
		{Name: "HS256 with the key's path as secret", Why: "bad_alg", Token: func(k Keys) string { return hmacToken(hs(k), Ours(k), []byte(k.ClutchFile)) }},
		{Name: "HS256 with an empty secret", Why: "bad_alg", Token: func(k Keys) string { return hmacToken(hs(k), Ours(k), nil) }},
		{Name: "RS256 in name, HMAC with the key's path", Why: "bad_signature", Token: func(k Keys) string {
			return hmacToken(header(k.Clutch.KID), Ours(k), []byte(k.ClutchFile))
		}},
		{Name: "RS256 in name, HMAC with the public key", Why: "bad_signature", Token: func(k Keys) string {
			return hmacToken(header(k.Clutch.KID), Ours(k), k.Clutch.Public)
		}},
		{Name: "RS512 by our own key", Why: "bad_alg", Token: rs512},
		{Name: "two algs, a good one first", Why: "bad_signature", Token: func(k Keys) string {
			return unsigned(k, `{"alg":"RS256","alg":"none","kid":"`+k.Clutch.KID+`"}`, "AA")
		}},
		{Name: "two algs, a good one last", Why: "bad_alg", Token: func(k Keys) string {
			return unsigned(k, `{"alg":"none","alg":"RS256","kid":"`+k.Clutch.KID+`"}`, "AA")
		}},
		{Name: "an unknown extension is critical", Why: "bad_header", Token: func(k Keys) string {
			return signText(k.Clutch.Private, `{"alg":"RS256","crit":["exp"],"kid":"`+k.Clutch.KID+`","typ":"at+jwt"}`, string(marshal(Ours(k))))
		}},
		{Name: "a stranger's key under our kid", Why: "bad_signature", Token: func(k Keys) string {
			return Sign(Key{KID: k.Clutch.KID, Private: k.Stranger.Private}, "at+jwt", Ours(k))
		}},
		{Name: "our next key under the current kid", Why: "bad_signature", Token: func(k Keys) string {
			return Sign(Key{KID: k.Clutch.KID, Private: k.ClutchNext.Private}, "at+jwt", Ours(k))
		}},
		{Name: "a stranger's key under its own kid", Why: "unknown_kid", Token: func(k Keys) string { return Sign(k.Stranger, "at+jwt", Ours(k)) }},
		{Name: "the identity provider's key under its kid for our issuer", Why: "unknown_kid", Token: func(k Keys) string { return Sign(k.IDP, "at+jwt", Ours(k)) }},
		{Name: "the identity provider's key under our kid for our issuer", Why: "bad_signature", Token: func(k Keys) string {
			return Sign(Key{KID: k.Clutch.KID, Private: k.IDP.Private}, "at+jwt", Ours(k))
		}},
		{Name: "our key for the identity provider's issuer", Why: "unknown_kid", Token: func(k Keys) string { return Sign(k.Clutch, "JWT", IDP(k)) }},
		{Name: "our key under the identity provider's kid and issuer", Why: "bad_signature", Token: func(k Keys) string {
			return Sign(Key{KID: k.IDP.KID, Private: k.Clutch.Private}, "JWT", IDP(k))
		}},
		{Name: "kid missing", Why: "unknown_kid", Token: func(k Keys) string {
			return signText(k.Clutch.Private, `{"alg":"RS256","typ":"at+jwt"}`, string(marshal(Ours(k))))
		}},
		kid("kid empty", `""`), kid("kid a number", `1`), kid("kid null", `null`), kid("kid a path", `"../../../../dev/null"`),
		kid("kid an absolute path", `"/etc/passwd"`), kid("kid with a bar", `"|"`), kid("kid with the issuer's name", `"clutch|x"`),
		{Name: "kid that names the provider's key space", Why: "unknown_kid", Token: func(k Keys) string {
			return Sign(Key{KID: IDPName + "|" + k.IDP.KID, Private: k.IDP.Private}, "at+jwt", Ours(k))
		}},
		{Name: "kid that is the key's file", Why: "unknown_kid", Token: func(k Keys) string {
			return Sign(Key{KID: k.ClutchFile, Private: k.Clutch.Private}, "at+jwt", Ours(k))
		}},
		{Name: "an embedded key of a stranger", Why: "bad_signature", Token: func(k Keys) string {
			return signText(k.Stranger.Private, `{"alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"`+
				encode(k.Stranger.Private.N.Bytes())+`"},"kid":"`+k.Clutch.KID+`","typ":"at+jwt"}`, string(marshal(Ours(k))))
		}},
		{Name: "a changed payload", Why: "bad_signature", Token: func(k Keys) string {
			p := strings.Split(SignOurs(k, Ours(k).With("sub", "bob@example.com")), ".")
			return p[0] + "." + encode(marshal(Ours(k))) + "." + p[2]
		}},
		{Name: "a signature of zeros", Why: "bad_signature", Token: func(k Keys) string { return unsigned(k, header(k.Clutch.KID), encode(make([]byte, 256))) }},
		{Name: "a short signature", Why: "bad_signature", Token: func(k Keys) string { return unsigned(k, header(k.Clutch.KID), "AA") }},
		{Name: "a signature cut by a byte", Why: "bad_signature", Token: func(k Keys) string { s := SignOurs(k, Ours(k)); return s[:len(s)-2] }},
	}
}

func ourClaims() []Case {
	return []Case{
		ours("iss missing", "iss", nil, "bad_iss"), ours("iss of a stranger", "iss", "https://evil.example", "bad_iss"),
		ours("iss with a slash", "iss", ClutchIssuer+"/", "bad_iss"), ours("iss in upper case", "iss", "HTTPS://CLUTCH.EXAMPLE", "bad_iss"),
		ours("iss a list", "iss", []string{ClutchIssuer}, "bad_iss"), ours("iss with something after it", "iss", ClutchIssuer+".evil.example", "bad_iss"),
		{Name: "typ JWT", Why: "bad_typ", Token: func(k Keys) string { return Sign(k.Clutch, "JWT", Ours(k)) }},
		{Name: "typ in upper case", Why: "bad_typ", Token: func(k Keys) string { return Sign(k.Clutch, "AT+JWT", Ours(k)) }},
		{Name: "typ with more", Why: "bad_typ", Token: func(k Keys) string { return Sign(k.Clutch, "at+jwtx", Ours(k)) }},
		{Name: "typ missing", Why: "bad_typ", Token: func(k Keys) string {
			return signText(k.Clutch.Private, `{"alg":"RS256","kid":"`+k.Clutch.KID+`"}`, string(marshal(Ours(k))))
		}},
		ours("aud missing", "aud", nil, "bad_aud"), ours("aud empty", "aud", "", "bad_aud"),
		ours("aud of another pool", "aud", "prod/ops", "bad_aud"), ours("aud of the same pool elsewhere", "aud", "staging/billing", "bad_aud"),
		ours("aud without environment", "aud", "billing", "bad_aud"), ours("aud with more", "aud", Pool+"x", "bad_aud"),
		ours("aud with less", "aud", Pool[:len(Pool)-1], "bad_aud"), ours("aud with NUL", "aud", Pool+"\x00x", "bad_aud"),
		ours("aud in upper case", "aud", strings.ToUpper(Pool), "bad_aud"), ours("aud a list of one", "aud", []string{Pool}, "bad_aud"),
		ours("aud a list of two", "aud", []string{Pool, "prod/ops"}, "bad_aud"), ours("aud of the identity provider", "aud", IDPAudience, "bad_aud"),
		ours("aud a number", "aud", 1, "bad_aud"), ours("aud a glob", "aud", "*", "bad_aud"),

		ours("sub missing", "sub", nil, "bad_sub"), ours("sub empty", "sub", "", "bad_sub"), ours("sub in upper case", "sub", "Alice@example.com", "bad_sub"),
		ours("sub with a newline at the end", "sub", Subject+"\n", "bad_sub"), ours("sub with a header in it", "sub", Subject+"\r\nX-Admin: 1", "bad_sub"),
		ours("sub with a bar", "sub", Subject+"|prod/billing", "bad_sub"), ours("sub with NUL", "sub", Subject+"\x00", "bad_sub"),
		ours("sub with a space", "sub", " "+Subject, "bad_sub"), ours("sub without at", "sub", "alice", "bad_sub"),
		ours("sub with two ats", "sub", "alice@example.com@evil.example", "bad_sub"), ours("sub with a hash", "sub", "alice#@example.com", "bad_sub"),
		ours("sub with a slash", "sub", "alice/x@example.com", "bad_sub"), ours("sub with another alphabet", "sub", "аlice@example.com", "bad_sub"),
		ours("sub with the Kelvin sign", "sub", "alice@example.\u212aom", "bad_sub"), ours("sub a list", "sub", []string{Subject}, "bad_sub"),
		ours("sub a number", "sub", 17, "bad_sub"), ours("sub of an unknown kind", "sub", "robot:x", "bad_sub"),
		ours("sub service without a name", "sub", "service:", "bad_sub"), ours("sub of 129 bytes", "sub", strings.Repeat("a", 117)+"@example.com", "bad_sub"),
		ours("sub of 128 bytes without a grant", "sub", strings.Repeat("a", 116)+"@example.com", "no_grant"),
		ours("sub of somebody else", "sub", "bob@example.com", "no_grant"), ours("sub of a service without a grant", "sub", "service:deploy-bot", "no_grant"),
		ours("groups with a newline", "groups", "a\r\nX-Forwarded-User: root", "bad_groups"), ours("groups with NUL", "groups", "a\x00b", "bad_groups"),
		ours("groups with DEL", "groups", "a\x7fb", "bad_groups"),

		ours("grant_id missing", "grant_id", nil, "other_grant"), ours("grant_id empty", "grant_id", "", "other_grant"),
		ours("grant_id of an earlier grant", "grant_id", OldGrantID, "other_grant"), ours("grant_id with more", "grant_id", GrantID+"x", "other_grant"),
		ours("grant_id with less", "grant_id", GrantID[:5], "other_grant"), ours("grant_id a list", "grant_id", []string{GrantID}, "other_grant"),
		ours("grant_id in lower case", "grant_id", strings.ToLower(GrantID), "other_grant"), ours("grant_id with NUL", "grant_id", GrantID+"\x00", "other_grant"),
	}
}

func times() []Case {
	cases := []Case{
		at("expired an hour ago", "exp", -3600, "expired"), at("expires now", "exp", 0, "expired"), at("expired a second ago", "exp", -1, "expired"),
		ours("exp missing", "exp", nil, "bad_exp"),
		{Name: "exp hidden in another claim", Why: "expired", Token: func(k Keys) string {
			claims := Ours(k).With("exp", nil).With("x", map[string]any{"exp": k.Now.Unix() + 600})
			return SignOurs(k, claims)
		}},
		text("exp in upper case", `"exp"`, `"EXP"`, "bad_exp"), text("iat in upper case", `"iat"`, `"IAT"`, "bad_iat"), text("nbf in upper case", `"nbf"`, `"NBF"`, "bad_nbf"),
		ours("nbf missing", "nbf", nil, "bad_nbf"), at("valid in an hour", "nbf", 3600, "not_yet"), at("valid in a minute", "nbf", 60, "not_yet"),
		ours("iat missing", "iat", nil, "bad_iat"), at("issued in an hour", "iat", 3600, "issued_in_future"), at("issued in a minute", "iat", 60, "issued_in_future"),
		{Name: "iat hidden in another claim", Why: "issued_in_future", Token: func(k Keys) string {
			return SignOurs(k, Ours(k).With("iat", nil).With("x", map[string]any{"iat": k.Now.Unix()}))
		}},
	}
	for claim, why := range map[string]string{"exp": "bad_exp", "nbf": "bad_nbf", "iat": "bad_iat"} {
		for name, json := range map[string]string{
			"-1": "-1", "0": "0", "null": "null", "true": "true", "a string": `"9999999999"`, "a fraction": "9999999999.5", "a float": "1e10",
			"a list": "[9999999999]", "an object": `{"x":9999999999}`, "milliseconds": "9999999999000", "more than 63 bits": "9223372036854775808",
			"the least number": "-9223372036854775808", "huge": "1e300", "text": `"never"`,
		} {
			cases = append(cases, raw(claim+" "+name, claim, json, why))
		}
	}
	// no JSON at all: what comes after it cannot be read either
	return append(cases, raw("exp with a plus", "exp", "+9999999999", "bad_iss"), raw("exp hexadecimal", "exp", "0x7fffffff", "bad_iss"),
		raw("nbf with a plus", "nbf", "+9999999999", "bad_nbf"))
}

func duplicates() []Case {
	double := func(claim, json string) Case {
		return Case{Name: "two " + claim, Why: "duplicate_claim", Token: func(k Keys) string {
			return editOurs(k, `{"aud":`, `{`+json+`,"aud":`)
		}}
	}
	return []Case{
		double("sub", `"sub":"bob@example.com"`), double("aud", `"aud":"prod/ops"`), double("iss", `"iss":"x"`), double("exp", `"exp":9999999999`),
		double("nbf", `"nbf":1`), double("iat", `"iat":1`), double("jti", `"jti":"x"`), double("grant_id", `"grant_id":"x"`), double("groups", `"groups":"admin"`),
		text("two sub, the other last", `"sub":"alice@example.com"}`, `"sub":"alice@example.com","sub":"bob@example.com"}`, "duplicate_claim"),
		text("two sub, one in upper case", `"sub":"alice@example.com"}`, `"sub":"alice@example.com","SUB":"bob@example.com"}`, "duplicate_claim"),
		text("two grant_id, one in mixed case", `{"aud":`, `{"Grant_ID":"x","aud":`, "duplicate_claim"),
		{Name: "idp: two email", Why: "duplicate_claim", Token: func(k Keys) string { return editIDP(k, `{"aud":`, `{"email":"bob@example.com","aud":`) }},
		{Name: "idp: two email_verified", Why: "duplicate_claim", Token: func(k Keys) string { return editIDP(k, `{"aud":`, `{"email_verified":false,"aud":`) }},
	}
}

func idp() []Case {
	return []Case{
		idpCase("aud missing", "aud", nil, "bad_aud"), idpCase("aud of another client", "aud", "other", "bad_aud"),
		idpCase("aud a pool", "aud", Pool, "bad_aud"), idpCase("aud a list of two", "aud", []string{IDPAudience, "other"}, "bad_aud"),
		idpCase("aud with more", "aud", IDPAudience+"x", "bad_aud"), idpCase("aud a list of one with more", "aud", []string{IDPAudience + "x"}, "bad_aud"),
		idpCase("aud a list of another", "aud", []string{"other"}, "bad_aud"), idpCase("aud in upper case", "aud", strings.ToUpper(IDPAudience), "bad_aud"),
		idpCase("aud an empty list", "aud", []string{}, "bad_aud"),
		idpCase("email missing", "email", nil, "bad_sub"), idpCase("email of a service", "email", "service:deploy-bot", "bad_sub"),
		idpCase("email of an agent", "email", "agent:triage", "bad_sub"), idpCase("email of a service in upper case", "email", "SERVICE:deploy-bot", "bad_sub"),
		idpCase("email with a newline", "email", Subject+"\n", "bad_sub"), idpCase("email with a bar", "email", "alice|x@example.com", "bad_sub"),
		idpCase("email with the Kelvin sign", "email", "alice@example.\u212aom", "bad_sub"),
		idpCase("email with a display name", "email", "Alice <alice@example.com>", "bad_sub"), idpCase("email a list", "email", []string{Subject}, "bad_sub"),
		idpCase("email of somebody else", "email", "bob@example.com", "no_grant"),
		idpCase("email of 129 bytes", "email", strings.Repeat("a", 117)+"@example.com", "bad_sub"),
		idpCase("email_verified missing", "email_verified", nil, "email_unverified"), idpCase("email_verified false", "email_verified", false, "email_unverified"),
		idpCase("email_verified a string", "email_verified", "true", "email_unverified"), idpCase("email_verified the string 1", "email_verified", "1", "email_unverified"),
		idpCase("email_verified 1", "email_verified", 1, "email_unverified"), idpCase("email_verified null", "email_verified", "null", "email_unverified"),
		{Name: "idp: email_verified hidden in another claim", Why: "email_unverified", Token: func(k Keys) string {
			return SignIDP(k, IDP(k).With("email_verified", nil).With("x", map[string]any{"email_verified": true}))
		}},
		idpCase("exp missing", "exp", nil, "bad_exp"), idpCase("exp past", "exp", 1000000000, "expired"),
		idpCase("iat missing", "iat", nil, "bad_iat"), idpCase("nbf a string", "nbf", "1000000000", "bad_nbf"), idpCase("nbf in the future", "nbf", 9999999999, "not_yet"),
		idpCase("a grant_id proves nothing", "grant_id", OldGrantID, ""),
		idpCase("sub is not the subject", "sub", "bob@example.com", ""),
	}
}
