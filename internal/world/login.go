package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	neturl "net/url"
	"strings"

	"golang.org/x/net/html"
)

// maxPage bounds what is read of an answer, in bytes.
const maxPage = 1 << 20

// ErrLoginRefused is wrapped by Login where the identity provider does not accept the password.
var ErrLoginRefused = errors.New("the identity provider refused the login")

// Login logs in as a browser would: from the gateway to the identity provider's form and back. It returns Clutch's token,
// for the header "Authorization: Token ...". It works with any provider whose form has the fields email and password.
func Login(ctx context.Context, gateway, email, password string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", fmt.Errorf("log in: %w", err)
	}
	// The last step answers with the token where the client is a program, so it is taken alone.
	var back *neturl.URL
	browser := &http.Client{Jar: jar, Transport: client.Transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), gateway+"/v1/authn/callback?") {
			back = r.URL
			return http.ErrUseLastResponse
		}
		if len(via) > 10 {
			return errors.New("too many redirects")
		}
		return nil
	}}
	var login struct{ AuthURL string }
	if err := getJSON(ctx, browser, gateway+"/v1/authn/login", &login); err != nil {
		return "", err
	}
	if err := submitForm(ctx, browser, login.AuthURL, map[string]string{"email": email, "password": password}); err != nil {
		return "", err
	}
	if back == nil {
		return "", fmt.Errorf("log in as %s: %w", email, ErrLoginRefused)
	}
	var answer struct{ AccessToken string }
	if err := getJSON(ctx, browser, back.String(), &answer); err != nil {
		return "", err
	}
	if answer.AccessToken == "" {
		return "", errors.New("log in: the gateway's answer has no token")
	}
	return answer.AccessToken, nil
}

// Login logs in one of the world's users.
func (w *World) Login(ctx context.Context, email string) (string, error) {
	user, err := w.endpoints.User(email)
	if err != nil {
		return "", err
	}
	return Login(ctx, w.endpoints.Gateway, user.Email, user.Password)
}

func getJSON(ctx context.Context, browser *http.Client, url string, into any) error {
	page, err := fetch(ctx, browser, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if page.status != http.StatusOK {
		return fmt.Errorf("log in: %s answered %d: %s", page.url.Path, page.status, page.body)
	}
	if err := json.Unmarshal(page.body, into); err != nil {
		return fmt.Errorf("log in: read the answer of %s: %w", page.url.Path, err)
	}
	return nil
}

// submitForm fills in and sends the form at url.
func submitForm(ctx context.Context, browser *http.Client, url string, fields map[string]string) error {
	page, err := fetch(ctx, browser, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	action, values, err := readForm(page.body)
	if err != nil {
		return fmt.Errorf("log in: read the page of the identity provider (status %d): %w", page.status, err)
	}
	for name, value := range fields {
		values.Set(name, value)
	}
	target, err := page.url.Parse(action)
	if err != nil {
		return fmt.Errorf("log in: read the form's action: %w", err)
	}
	_, err = fetch(ctx, browser, http.MethodPost, target.String(), values)
	return err
}

// answerPage is what an HTTP request gave after its redirects.
type answerPage struct {
	url    *neturl.URL
	status int
	body   []byte
}

func fetch(ctx context.Context, browser *http.Client, method, url string, form neturl.Values) (answerPage, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form.Encode()))
	if err != nil {
		return answerPage{}, fmt.Errorf("log in: %w", err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := browser.Do(request)
	if err != nil {
		return answerPage{}, fmt.Errorf("log in: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return answerPage{}, fmt.Errorf("log in: %w", err)
	}
	return answerPage{url: response.Request.URL, status: response.StatusCode, body: body}, nil
}

// readForm returns the action of the page's first form, and the values that its fields have already.
func readForm(page []byte) (action string, values neturl.Values, err error) {
	document, err := html.Parse(strings.NewReader(string(page)))
	if err != nil {
		return "", nil, err
	}
	values = neturl.Values{}
	found := false
	for node := range document.Descendants() {
		switch {
		case node.Type != html.ElementNode:
		case node.Data == "form" && !found:
			found, action = true, attribute(node, "action")
		case node.Data == "input" && found && attribute(node, "name") != "":
			values.Set(attribute(node, "name"), attribute(node, "value"))
		}
	}
	if !found {
		return "", nil, errors.New("it has no form")
	}
	return action, values, nil
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
