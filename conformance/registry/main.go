// A registry for tests: go-containerregistry's, in memory. It prints its address.
//
//	go run . [-referrers] [-content DIR] [-listen ADDRESS] [-folder DIR]
//
// Without -referrers it has no referrers API, as many registries in use. With -content it holds what conformance/images made from the start. With
// -folder it serves TLS, tells there how it is reached (host, ca.pem, registries.json) and runs until it is ended; without, plain HTTP until its standard
// input ends, so that it does not outlive whoever started it.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	referrers := flag.Bool("referrers", false, "serve the referrers API")
	content := flag.String("content", "", "folder of images to hold from the start")
	address := flag.String("listen", "127.0.0.1:0", "address and port; port 0 takes a free one")
	folder := flag.String("folder", "", "serve TLS, and tell in this folder how the registry is reached")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	check(err)
	handler := registry.New(registry.WithReferrersSupport(*referrers), registry.Logger(log.New(io.Discard, "", 0)))
	if *content != "" {
		check(fill(handler, *content, *referrers))
	}
	if *folder == "" {
		go func() {
			// Whoever started us has gone.
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	} else {
		certificate, err := tell(*folder, listener.Addr().(*net.TCPAddr))
		check(err)
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	fmt.Println(listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	log.Fatal(server.Serve(listener))
}

// lifetime of the certificates: longer than any try.
const lifetime = 30 * 24 * time.Hour

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// tell writes how the registry is reached, and gives its certificate. The files are whole when they have their names; `host` is the last.
func tell(folder string, address *net.TCPAddr) (tls.Certificate, error) {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a registry for tests"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime), KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	// Clients of today take no authority's certificate for a server's.
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registry for tests"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{address.IP},
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, signer.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	known := map[string]any{"registries": []any{map[string]any{
		"host": address.String(), "caFile": "ca.pem", "addresses": []string{address.IP.String()},
	}}}
	settings, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return tls.Certificate{}, err
	}
	files := []struct {
		name  string
		bytes []byte
	}{
		{"ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})},
		{"registries.json", append(settings, '\n')},
		{"host", []byte(address.String() + "\n")},
	}
	for _, file := range files {
		fresh := filepath.Join(folder, "."+file.name)
		if err := os.WriteFile(fresh, file.bytes, 0o644); err != nil {
			return tls.Certificate{}, err
		}
		if err := os.Rename(fresh, filepath.Join(folder, file.name)); err != nil {
			return tls.Certificate{}, err
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
