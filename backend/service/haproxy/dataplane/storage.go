package dataplane

import (
	"bytes"
	"context"
	"errors"
	"mime/multipart"
	"net/http"
	"path"
)

// maxStored bounds a stored file that is written: keys and pages are a few kilobytes.
const maxStored = 1 << 20

// CreateMapFile makes an empty map file, unless there is one: its content then stays as it is. It answers where the file
// lies on the node, by which haproxy.cfg names the map. HAProxy has the map once a configuration that names it is loaded.
func (c *Client) CreateMapFile(ctx context.Context, mapName string) (string, error) {
	const op = "make map file"
	if err := checkMapName(mapName); err != nil {
		return "", err
	}
	at, there, err := c.stored(ctx, op, (*dialect).mapFiles, mapName)
	if err != nil || there {
		return at, err
	}
	return c.upload(ctx, op, (*dialect).mapFiles, mapName, emptyFile)
}

// StoredFile reads a file of the API's general storage, where it lies on the node, and whether it is there: by the API's
// own list. The file is not checked.
func (c *Client) StoredFile(ctx context.Context, name string) (text []byte, at string, there bool, err error) {
	const op = "read stored file"
	if err := checkStoredName(name); err != nil {
		return nil, "", false, err
	}
	if at, there, err = c.stored(ctx, op, (*dialect).general, name); err != nil || !there {
		return nil, "", false, err
	}
	a, err := c.do(ctx, request{
		op: op, method: http.MethodGet, target: func(d *dialect) target { return d.generalFile(name) },
		wants: []int{http.StatusOK}, reads: true,
	})
	if err != nil {
		return nil, "", false, err
	}
	return a.body, at, true, nil
}

// StoreFile writes a file of the API's general storage, one that is there or a new one, and reloads nothing. An empty text
// is ErrInvalid: /v2 does not take it.
func (c *Client) StoreFile(ctx context.Context, name string, text []byte) error {
	const op = "write stored file"
	if err := checkStoredName(name); err != nil {
		return err
	}
	if len(text) == 0 || len(text) > maxStored {
		return &InvalidError{Field: "file", Why: "it is empty, or larger than a mebibyte"}
	}
	_, there, err := c.stored(ctx, op, (*dialect).general, name)
	if err != nil {
		return err
	}
	if !there {
		_, err = c.upload(ctx, op, (*dialect).general, name, text)
		return err
	}
	d, err := c.speak(ctx)
	if err != nil {
		return err
	}
	body, contentType := text, textBody
	if d.replacesByForm {
		if body, contentType, err = formOf(op, name, text); err != nil {
			return err
		}
	}
	_, err = c.do(ctx, request{
		op: op, method: http.MethodPut, contentType: contentType, body: body, wants: []int{http.StatusNoContent},
		target: func(d *dialect) target { return d.generalFile(name).with("skip_reload", "true") },
	})
	return err
}

// stored finds a file in the list of a storage.
func (c *Client) stored(ctx context.Context, op string, in route, name string) (at string, there bool, err error) {
	a, err := c.do(ctx, request{op: op + ": list files", method: http.MethodGet, target: in, wants: []int{http.StatusOK}, reads: true})
	if err != nil {
		return "", false, err
	}
	var list []storedFile
	if err := decode(a.body, &list); err != nil {
		return "", false, malformed(op, "not a list of files")
	}
	for _, f := range list {
		if f.Name == name {
			at, err = f.place(op, name)
			return at, err == nil, err
		}
	}
	return "", false, nil
}

// storedFile is an item of the API's list of files.
type storedFile struct {
	File string `json:"file"`
	Name string `json:"storage_name"`
}

// place is the file's path on the node, of the name that was asked for.
func (f storedFile) place(op, name string) (string, error) {
	if f.Name != name || path.Base(f.File) != name || !path.IsAbs(f.File) {
		return "", malformed(op, "a file of another name, or without a path")
	}
	return f.File, nil
}

// upload makes a file that is not there. If somebody else was faster, theirs stays.
func (c *Client) upload(ctx context.Context, op string, in route, name string, text []byte) (string, error) {
	body, contentType, err := formOf(op, name, text)
	if err != nil {
		return "", err
	}
	a, err := c.do(ctx, request{
		op: op, method: http.MethodPost, target: in, contentType: contentType, body: body,
		wants: []int{http.StatusCreated}, reads: true,
	})
	if err != nil {
		return "", reason(err, ErrExists, func(e *Error) bool { return e.Status == http.StatusConflict })
	}
	var made storedFile
	if err := decode(a.body, &made); err != nil {
		return "", malformed(op, "not a file")
	}
	return made.place(op, name)
}

// formOf is a file as the form in which it is uploaded.
func formOf(op, name string, text []byte) (body []byte, contentType string, err error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file_upload", name)
	if err == nil {
		_, err = part.Write(text)
	}
	if err = errors.Join(err, w.Close()); err != nil { // a buffer takes all
		return nil, "", &Error{Op: op, Reason: ErrInvalid, Message: "form cannot be encoded"}
	}
	return form.Bytes(), w.FormDataContentType(), nil
}
