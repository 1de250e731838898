package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
)

// repository is where the images of conformance/images are.
const repository = "agents/app"

// listing is conformance/images/content/repository.json.
type listing struct {
	Blobs     []string          `json:"blobs"`
	Manifests map[string]string `json:"manifests"`
	Tags      map[string]string `json:"tags"`
}

// fill stores what conformance/images made: blobs, then manifests, then the indices that list these, then tags.
func fill(handler http.Handler, content string, referrers bool) error {
	text, err := os.ReadFile(filepath.Join(content, "repository.json"))
	if err != nil {
		return err
	}
	var all listing
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	store := func(method, path, kind, digest string) error {
		body, err := os.ReadFile(filepath.Join(content, "blobs", strings.TrimPrefix(digest, "sha256:")))
		if err != nil {
			return err
		}
		request := httptest.NewRequest(method, "/v2/"+repository+path, bytes.NewReader(body))
		request.Header.Set("Content-Type", kind)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != http.StatusCreated {
			return fmt.Errorf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
		return nil
	}
	for _, digest := range all.Blobs {
		if err := store("POST", "/blobs/uploads/?digest="+digest, "application/octet-stream", digest); err != nil {
			return err
		}
	}
	for _, indices := range []bool{false, true} {
		for digest, kind := range all.Manifests {
			if strings.Contains(kind, "index") != indices {
				continue
			}
			if err := store("PUT", "/manifests/"+digest, kind, digest); err != nil {
				return err
			}
		}
	}
	for tag, digest := range all.Tags {
		// With the API, cosign would not have written that tag.
		if referrers && strings.HasPrefix(tag, "sha256-") {
			continue
		}
		if err := store("PUT", "/manifests/"+tag, all.Manifests[digest], digest); err != nil {
			return err
		}
	}
	return nil
}
