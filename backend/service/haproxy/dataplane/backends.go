package dataplane

import (
	"context"
	"net/http"
)

// Backends reads the names of the configuration's backends, in its order.
func (c *Client) Backends(ctx context.Context) ([]string, error) {
	const op = "list backends"
	a, err := c.do(ctx, request{
		op: op, method: http.MethodGet, target: (*dialect).backends, wants: []int{http.StatusOK}, reads: true,
	})
	if err != nil {
		return nil, err
	}
	list, err := a.dialect.unwrap(a.body)
	if err != nil {
		return nil, malformed(op, "no envelope")
	}
	var backends []struct {
		Name string `json:"name"`
	}
	if err := decode(list, &backends); err != nil {
		return nil, malformed(op, "not a list of backends")
	}
	names := make([]string, len(backends))
	for i, b := range backends {
		if b.Name == "" {
			return nil, malformed(op, "a backend without a name")
		}
		names[i] = b.Name
	}
	return names, nil
}
