package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"vitrine/deployments/web"
)

// askServer asks the server of a data folder over its control socket. Its refusal is an error; the body of any other answer is the caller's to close.
func askServer(ctx context.Context, data, method, path string, query url.Values, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://vitrine"+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := socketClient(data).Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the address, which nobody chose
		}
		return nil, err
	}
	if response.StatusCode < http.StatusBadRequest {
		return response, nil
	}
	defer response.Body.Close()
	var p web.Problem
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("the server answers %s", response.Status)
	}
	return nil, refusal(p)
}

// refusal makes an error of the server's.
func refusal(p web.Problem) error {
	switch p.Status {
	case http.StatusBadRequest:
		return &usageError{errors.New(p.Detail)}
	case http.StatusNotFound:
		return &notFoundError{errors.New(p.Detail)}
	}
	return errors.New(p.Detail)
}
