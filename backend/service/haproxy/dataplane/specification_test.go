package dataplane_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-openapi/spec"
	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"
	"go.yaml.in/yaml/v3"
)

// specification is a published specification of the Data Plane API, and judges calls by it.
type specification struct {
	document map[string]any // in one piece
	paths    map[string]map[string]any
	consumes []string // where an operation does not say
	produces []string
	base     string // "/v2"
	mu       sync.Mutex
	known    map[string]operation // those asked for, with the references in them followed, by method and template
}

type operation struct {
	*spec.Operation
	parameters []spec.Parameter
	inPath     map[string]string // the values in the path of the request
}

// published reads a specification out of the module cache. It is never skipped: without it the contract is not known.
func published(t *testing.T, module, version, file, base string) *specification {
	t.Helper()
	root := filepath.Join(moduleDir(t, module, version), "specification")
	document := map[string]any{}
	readYAML(t, filepath.Join(root, file), &document)
	s := &specification{base: base, known: map[string]operation{}, paths: map[string]map[string]any{}}
	s.document = files{}.inOnePiece(t, root, document).(map[string]any)
	for template, item := range s.document["paths"].(map[string]any) {
		s.paths[template] = item.(map[string]any)
	}
	noError(t, convert(s.document["consumes"], &s.consumes))
	noError(t, convert(s.document["produces"], &s.produces))
	if len(s.paths) < 100 {
		t.Fatalf("specification of %s has %d paths", module, len(s.paths))
	}
	return s
}

// convert gives a part of the document its type.
func convert(part, into any) error {
	text, err := json.Marshal(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// moduleDir is where the go command keeps a module of go.mod, which it downloads if need be.
func moduleDir(t *testing.T, module, version string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
	if err != nil {
		t.Fatalf("find the specification of %s: %v: %s", module, err, out)
	}
	var found struct{ Version, Dir string }
	noError(t, json.Unmarshal(out, &found))
	if found.Dir == "" || version != "" && found.Version != version {
		t.Fatalf("go.mod has %s %s in %q, want %s", module, found.Version, found.Dir, version)
	}
	return found.Dir
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	noError(t, err)
	noError(t, yaml.Unmarshal(text, into))
}

// files are the parts of a specification that were read.
type files map[string]map[string]any

// inOnePiece puts what stands in other files in the place of the references to it. References without a file are to the
// document as a whole, wherever they stand.
func (f files) inOnePiece(t *testing.T, root string, node any) any {
	t.Helper()
	switch node := node.(type) {
	case map[string]any:
		if reference, ok := node["$ref"].(string); ok && !strings.HasPrefix(reference, "#") {
			file, name, _ := strings.Cut(reference, "#/")
			if f[file] == nil {
				all := map[string]any{}
				readYAML(t, filepath.Join(root, file), &all)
				f[file] = all
			}
			found, ok := f[file][name]
			if !ok {
				t.Fatalf("specification has no %s", reference)
			}
			return f.inOnePiece(t, root, found)
		}
		whole := map[string]any{}
		for key, value := range node {
			whole[key] = f.inOnePiece(t, root, value)
		}
		return whole
	case map[any]any: // keys that YAML takes for numbers: statuses
		whole := map[string]any{}
		for key, value := range node {
			whole[fmt.Sprint(key)] = f.inOnePiece(t, root, value)
		}
		return whole
	case []any:
		whole := make([]any, len(node))
		for i, value := range node {
			whole[i] = f.inOnePiece(t, root, value)
		}
		return whole
	}
	return node
}

// operation finds the route of a request.
func (s *specification) operation(method string, u *url.URL) (operation, error) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), s.base)
	if !ok {
		return operation{}, fmt.Errorf("%s is not below %s", u.Path, s.base)
	}
	segments := strings.Split(rest, "/")
	for template, item := range s.paths {
		inPath, ok := match(strings.Split(template, "/"), segments)
		if ok && item[strings.ToLower(method)] != nil {
			o, err := s.follow(method+" "+template, item[strings.ToLower(method)], item["parameters"])
			o.inPath = inPath
			return o, err
		}
	}
	return operation{}, fmt.Errorf("%s %s is not in the specification", method, u.EscapedPath())
}

// follow reads an operation and puts what its references name in their place.
func (s *specification) follow(key string, described, ofPath any) (operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.known[key]; ok {
		return known, nil
	}
	found := operation{Operation: &spec.Operation{}}
	if err := errors.Join(convert(described, found.Operation), convert(ofPath, &found.parameters)); err != nil {
		return operation{}, fmt.Errorf("read %s: %w", key, err)
	}
	o := found.Operation
	found.parameters = append(found.parameters, o.Parameters...)
	for i := range found.parameters {
		if err := spec.ExpandParameterWithRoot(&found.parameters[i], s.document, nil); err != nil {
			return operation{}, fmt.Errorf("follow a reference: %w", err)
		}
	}
	for status, r := range o.Responses.StatusCodeResponses {
		if err := spec.ExpandResponseWithRoot(&r, s.document, nil); err != nil {
			return operation{}, fmt.Errorf("follow a reference: %w", err)
		}
		o.Responses.StatusCodeResponses[status] = r
	}
	if r := o.Responses.Default; r != nil {
		if err := spec.ExpandResponseWithRoot(r, s.document, nil); err != nil {
			return operation{}, fmt.Errorf("follow a reference: %w", err)
		}
	}
	s.known[key] = found
	return found, nil
}

func match(template, segments []string) (map[string]string, bool) {
	if len(template) != len(segments) {
		return nil, false
	}
	values := map[string]string{}
	for i, part := range template {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			value, err := url.PathUnescape(segments[i])
			if err != nil || value == "" {
				return nil, false
			}
			values[strings.TrimSuffix(name, "}")] = value
		} else if part != segments[i] {
			return nil, false
		}
	}
	return values, true
}

// checkRequest says what of a request the specification does not allow.
func (s *specification) checkRequest(method string, u *url.URL, contentType string, body []byte) error {
	o, err := s.operation(method, u)
	if err != nil {
		return err
	}
	query := u.Query()
	takesBody := false
	var errs []error
	for _, p := range o.parameters {
		switch p.In {
		case "path":
			errs = append(errs, checkParameter(p, o.inPath[p.Name], true))
		case "query":
			errs = append(errs, checkParameter(p, query.Get(p.Name), query.Has(p.Name)))
			query.Del(p.Name)
		case "formData":
			takesBody = true
			errs = append(errs, checkForm(p, contentType, body), s.checkType(contentType, o.Consumes, s.consumes))
		case "body":
			takesBody = true
			if len(body) == 0 && p.Required {
				errs = append(errs, errors.New("no body"))
			} else if len(body) > 0 {
				errs = append(errs, s.checkType(contentType, o.Consumes, s.consumes), checkBody(p.Schema, contentType, body))
			}
		}
	}
	for name := range query {
		errs = append(errs, fmt.Errorf("unknown parameter %s", name))
	}
	if len(body) > 0 && !takesBody {
		errs = append(errs, errors.New("a body that is not wanted"))
	}
	return errors.Join(errs...)
}

// checkResponse says what of an answer the specification does not allow.
func (s *specification) checkResponse(method string, u *url.URL, status int, contentType string, body []byte) error {
	o, err := s.operation(method, u)
	if err != nil {
		return err
	}
	r, ok := o.Responses.StatusCodeResponses[status]
	if !ok {
		if o.Responses.Default == nil || status < 300 {
			return fmt.Errorf("status %d is not in the specification", status)
		}
		r = *o.Responses.Default
	}
	if r.Schema == nil || isFile(r.Schema) {
		return nil
	}
	if len(body) == 0 {
		return errors.New("no body")
	}
	if status >= 300 {
		return checkBody(r.Schema, contentType, body)
	}
	return errors.Join(s.checkType(contentType, o.Produces, s.produces), checkBody(r.Schema, contentType, body))
}

func (s *specification) checkType(contentType string, ofOperation, ofAll []string) error {
	if len(ofOperation) == 0 {
		ofOperation = ofAll
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || !slices.Contains(ofOperation, media) {
		return fmt.Errorf("content type %q is none of %v", contentType, ofOperation)
	}
	return nil
}

func checkParameter(p spec.Parameter, text string, given bool) error {
	if !given {
		if p.Required {
			return fmt.Errorf("parameter %s is missing", p.Name)
		}
		return nil
	}
	var value any = text
	var err error
	switch p.Type {
	case "boolean":
		value, err = strconv.ParseBool(text)
	case "integer":
		value, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("parameter %s: %w", p.Name, err)
	}
	return validate.NewParamValidator(&p, strfmt.Default).Validate(value).AsError()
}

// checkForm wants a form with the one file of the parameter's name.
func checkForm(p spec.Parameter, contentType string, body []byte) error {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return err
	}
	form, err := multipart.NewReader(bytes.NewReader(body), parameters["boundary"]).ReadForm(1 << 20)
	if err != nil {
		return fmt.Errorf("read form: %w", err)
	}
	if p.Type != "file" || len(form.File) != 1 || len(form.File[p.Name]) != 1 || len(form.Value) != 0 {
		return fmt.Errorf("form is not the one file %s", p.Name)
	}
	return nil
}

func isFile(schema *spec.Schema) bool {
	return schema.Format == "binary" || schema.Type.Contains("file")
}

// checkBody takes a body for JSON, unless it is a text for a schema that is one.
func checkBody(schema *spec.Schema, contentType string, body []byte) error {
	var value any = string(body)
	if !schema.Type.Contains("string") || contentType == "application/json" {
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("decode body: %w", err)
		}
		if _, err := decoder.Token(); err != io.EOF {
			return errors.New("more than one value in the body")
		}
	}
	merged := merge(*schema)
	return validate.NewSchemaValidator(&merged, nil, "", strfmt.Default).Validate(value).AsError()
}

// merge makes one object of those of an allOf. Each of them forbids what the others list, by which a server could have
// no field at all; what is meant is that nothing is allowed that none of them lists.
func merge(schema spec.Schema) spec.Schema {
	if schema.Items != nil && schema.Items.Schema != nil {
		items := merge(*schema.Items.Schema)
		schema.Items = &spec.SchemaOrArray{Schema: &items}
	}
	properties := spec.SchemaProperties{}
	for name, property := range schema.Properties {
		properties[name] = merge(property)
	}
	if len(schema.AllOf) == 0 {
		schema.Properties = properties
		return schema
	}
	schema.Required = slices.Clone(schema.Required)
	for _, part := range schema.AllOf {
		part = merge(part)
		for name, property := range part.Properties {
			properties[name] = property
		}
		schema.Required = append(schema.Required, part.Required...)
	}
	schema.Properties, schema.AllOf = properties, nil
	schema.AdditionalProperties = &spec.SchemaOrBool{Allows: false}
	return schema
}
