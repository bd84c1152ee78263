package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly/fastlytest"
)

// writeCertificate writes cert.pem and key.pem for localhost into a folder and
// returns the path of the first.
func writeCertificate(folder string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "soak"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "cert.pem")
	return path, errors.Join(
		os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600),
		os.WriteFile(filepath.Join(folder, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

// freePort returns a loopback port that nothing listens on.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// waitFor waits until something listens at an address.
func waitFor(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// nginx is a running nginx.
type nginx struct {
	program, work string
	port          int
	process       *exec.Cmd

	reloads, restarts int
}

const nginxConfig = `%s
daemon off;
pid nginx.pid;
error_log error.log warn;
worker_processes auto;
events { worker_connections 4096; }
http {
	log_format connections '$connection $server_protocol';
	access_log access.log connections;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	upstream api {
		server %s;
		keepalive 64;
	}
	server {
		listen 127.0.0.1:%d ssl http2;
		ssl_certificate cert.pem;
		ssl_certificate_key key.pem;
		location / {
			proxy_pass http://api;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			# A proxy that retried a revoke would turn "done" into "not found".
			proxy_next_upstream off;
			proxy_connect_timeout 1s;
		}
	}
}
`

// startNginx starts nginx in front of the server at an address. Everything that
// concerns its clients has the default setting.
func startNginx(ctx context.Context, program, work, upstream string) (*nginx, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	n := &nginx{program: program, work: work, port: port}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // to read the folder
	}
	config := fmt.Sprintf(nginxConfig, user, upstream, port)
	if err := os.WriteFile(filepath.Join(work, "nginx.conf"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	return n, n.start(ctx)
}

func (n *nginx) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func (n *nginx) url() string { return "https://" + n.address() }

func (n *nginx) start(ctx context.Context) error {
	// Without the context: at the end it is stopped, not killed.
	n.process = exec.Command(n.program, "-p", n.work, "-c", filepath.Join(n.work, "nginx.conf"), "-e", filepath.Join(n.work, "error.log")) //nolint:gosec,noctx // the user names the program
	if err := n.process.Start(); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	if err := waitFor(ctx, n.address()); err != nil {
		text, _ := os.ReadFile(filepath.Join(n.work, "error.log")) // for the message alone
		return errors.Join(fmt.Errorf("nginx does not listen: %w\n%s", err, text), n.end(syscall.SIGTERM))
	}
	return nil
}

// end asks nginx to end, and waits until it has.
func (n *nginx) end(sig os.Signal) error {
	if n.process == nil {
		return nil
	}
	err := n.process.Process.Signal(sig)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = n.process.Wait() // its exit code does not matter
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		err = errors.Join(err, n.process.Process.Kill())
		<-ended
	}
	n.process = nil
	return err
}

func (n *nginx) stop() { _ = n.end(syscall.SIGTERM) } // the run is over, so an error does not matter

func (n *nginx) accessLog() []string {
	text, err := os.ReadFile(filepath.Join(n.work, "access.log"))
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// parts holds the server and everything between it and the clients.
type parts struct {
	server *fastlytest.Server
	nginx  *nginx
	once   sync.Once

	program string // of toxiproxy
	seed    uint64
	toxi    *exec.Cmd
	api     string // address of its API
	control http.Client
	listen  map[string]string // addresses of its proxies, by name
	toxics  map[string]bool   // paths of the active ones

	changes, toxiRestarts int
}

func startParts(ctx context.Context, o options, work string) (p *parts, err error) {
	p = &parts{
		server: fastlytest.NewServer(fastlytest.WithRateLimit(1 << 30)),
		listen: map[string]string{}, toxics: map[string]bool{},
		control: http.Client{Timeout: 5 * time.Second, Transport: new(http.Transport)},
	}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	p.program, p.seed = o.toxiproxy, o.seed
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	p.api = fmt.Sprintf("127.0.0.1:%d", port)
	if err := p.startToxiproxy(ctx); err != nil {
		return nil, err
	}
	if err := p.addProxy(ctx, "back", strings.TrimPrefix(p.server.URL, "http://")); err != nil {
		return nil, err
	}
	if p.nginx, err = startNginx(ctx, o.nginx, work, p.listen["back"]); err != nil {
		return nil, err
	}
	return p, p.addProxy(ctx, "front", p.nginx.address())
}

func (p *parts) startToxiproxy(ctx context.Context) error {
	host, port, err := net.SplitHostPort(p.api)
	if err != nil {
		return err
	}
	p.toxi = exec.Command(p.program, "-host", host, "-port", port, "-seed", strconv.FormatUint(p.seed>>1, 10)) //nolint:gosec,noctx // as for nginx
	if err := p.toxi.Start(); err != nil {
		p.toxi = nil
		return fmt.Errorf("toxiproxy: %w", err)
	}
	if err := waitFor(ctx, p.api); err != nil {
		return fmt.Errorf("toxiproxy does not listen: %w", err)
	}
	return nil
}

func (p *parts) stopToxiproxy() {
	if p.toxi != nil {
		_ = p.toxi.Process.Kill()
		_ = p.toxi.Wait()
	}
	p.control.CloseIdleConnections()
}

// restartToxiproxy restarts a toxiproxy that hangs, as it can when toxics change
// for a stalled connection. For the clients it is one more fault.
func (p *parts) restartToxiproxy(ctx context.Context) error {
	p.toxiRestarts++
	p.stopToxiproxy()
	clear(p.toxics)
	if err := p.startToxiproxy(ctx); err != nil {
		return err
	}
	return errors.Join(
		p.addProxy(ctx, "back", strings.TrimPrefix(p.server.URL, "http://")),
		p.addProxy(ctx, "front", p.nginx.address()),
	)
}

func (p *parts) url() string { return "https://" + p.listen["front"] }

func (p *parts) stop() {
	p.once.Do(func() {
		if p.nginx != nil {
			p.nginx.stop()
		}
		p.stopToxiproxy()
		p.server.Close()
	})
}

// ask sends a request to toxiproxy and decodes its response.
func (p *parts) ask(ctx context.Context, method, path string, body, response any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.api+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := p.control.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err = io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return fmt.Errorf("toxiproxy: %s %s: %s: %s", method, path, resp.Status, text)
	}
	if response == nil {
		return nil
	}
	return json.Unmarshal(text, response)
}

func (p *parts) addProxy(ctx context.Context, name, upstream string) error {
	listen := cmp.Or(p.listen[name], "127.0.0.1:0")
	var made struct{ Listen string }
	err := p.ask(ctx, http.MethodPost, "/proxies", map[string]any{
		"name": name, "listen": listen, "upstream": upstream, "enabled": true,
	}, &made)
	p.listen[name] = cmp.Or(made.Listen, p.listen[name])
	return err
}

// breakThings changes toxics until the context ends, and reloads or restarts nginx
// after each sixteenth of the operations.
func (p *parts) breakThings(ctx context.Context, rnd *mathrand.Rand, started *atomic.Int64, operations int) error {
	for event := 1; ctx.Err() == nil; {
		var err error
		switch at := int64(event * operations / 16); {
		case started.Load() >= at && event%2 == 1:
			p.nginx.reloads++
			event++
			err = p.nginx.process.Process.Signal(syscall.SIGHUP)
		case started.Load() >= at:
			p.nginx.restarts++
			event++
			// By turns immediately and after its requests.
			err = p.nginx.end(map[bool]os.Signal{true: syscall.SIGTERM, false: syscall.SIGQUIT}[event%4 == 1])
			if err == nil {
				err = p.nginx.start(context.WithoutCancel(ctx))
			}
		default:
			// The end of the operations must not interrupt a change.
			if p.changeToxics(context.WithoutCancel(ctx), rnd) != nil {
				err = p.restartToxiproxy(context.WithoutCancel(ctx))
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(100+rnd.IntN(700)) * time.Millisecond):
		}
	}
	return nil
}

func (p *parts) clear(ctx context.Context) error {
	for path := range p.toxics {
		if err := p.ask(ctx, http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
		delete(p.toxics, path)
	}
	for name := range p.listen {
		if err := p.ask(ctx, http.MethodPost, "/proxies/"+name, map[string]any{"enabled": true}, nil); err != nil {
			return err
		}
	}
	return nil
}

// changeToxics removes the active toxics, and two times out of three adds others.
func (p *parts) changeToxics(ctx context.Context, rnd *mathrand.Rand) error {
	if err := p.clear(ctx); err != nil {
		return err
	}
	p.changes++
	if rnd.IntN(3) == 0 {
		return nil
	}
	for range 1 + rnd.IntN(2) {
		name := []string{"front", "back"}[rnd.IntN(2)]
		if rnd.IntN(20) == 0 {
			return p.ask(ctx, http.MethodPost, "/proxies/"+name, map[string]any{"enabled": false}, nil)
		}
		kind := []struct {
			typ        string
			attributes map[string]any
		}{
			{"latency", map[string]any{"latency": rnd.IntN(200), "jitter": rnd.IntN(200)}},
			{"bandwidth", map[string]any{"rate": 1 + rnd.IntN(100)}}, // KB/s
			{"slow_close", map[string]any{"delay": rnd.IntN(1000)}},
			{"timeout", map[string]any{"timeout": 1 + rnd.IntN(3000)}}, // stalls, then closes
			{"reset_peer", map[string]any{"timeout": rnd.IntN(500)}},
			{"slicer", map[string]any{"average_size": 1 + rnd.IntN(100), "size_variation": 0, "delay": rnd.IntN(1000)}},
			{"limit_data", map[string]any{"bytes": rnd.IntN(20000)}}, // then closes
		}[rnd.IntN(7)]
		stream := []string{"upstream", "downstream"}[rnd.IntN(2)]
		var made struct{ Name string }
		err := p.ask(ctx, http.MethodPost, "/proxies/"+name+"/toxics", map[string]any{
			"name": fmt.Sprintf("%s-%s-%d", kind.typ, stream, len(p.toxics)),
			"type": kind.typ, "stream": stream, "toxicity": 0.3 + 0.7*rnd.Float64(), "attributes": kind.attributes,
		}, &made)
		if err != nil {
			return err
		}
		p.toxics["/proxies/"+name+"/toxics/"+made.Name] = true
	}
	return nil
}
