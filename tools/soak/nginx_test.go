package soak_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// freeAddress returns a loopback address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// process is a program that listens.
type process struct {
	command []string
	address string
	running *exec.Cmd // nil: none
}

// start starts the program, and waits until it listens.
func (p *process) start() error {
	p.running = exec.Command(p.command[0], p.command[1:]...)
	if err := p.running.Start(); err != nil {
		p.running = nil
		return err
	}
	for begin := time.Now(); ; {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			return conn.Close()
		}
		if time.Since(begin) > 30*time.Second {
			return errors.Join(fmt.Errorf("%s does not listen: %w", p.command[0], err), p.end(syscall.SIGTERM))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// end asks the program to end, and waits until it has.
func (p *process) end(sig os.Signal) error {
	if p.running == nil {
		return nil
	}
	err := p.running.Process.Signal(sig)
	kill := time.AfterFunc(10*time.Second, func() { _ = p.running.Process.Kill() })
	_ = p.running.Wait() // its exit code does not matter
	kill.Stop()
	p.running = nil
	return err
}

// proxies are those between the clients and the server:
//
//	client → front → nginx → back → server
//
// Front and back are proxies of toxiproxy, and are left out if there is none.
type proxies struct {
	work, url   string
	nginx       process
	toxiproxy   process // no command: none
	control     *toxiproxy.Client
	front, back toxiproxy.Proxy

	changes, toxiproxyRestarts, reloads, restarts int
}

//go:embed nginx.conf
var nginxConfig string

// startProxies starts nginx, and toxiproxy if its program is given. What concerns
// nginx's clients has the default setting. work is a folder with cert.pem and
// key.pem, for nginx's files.
func startProxies(work, nginxProgram, toxiproxyProgram, server string) (*proxies, error) {
	p := &proxies{work: work}
	for _, address := range []*string{&p.nginx.address, &p.toxiproxy.address, &p.front.Listen, &p.back.Listen} {
		var err error
		if *address, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	p.url, p.front.Name, p.back.Name = "https://"+p.nginx.address, "front", "back"
	p.front.Upstream, p.back.Upstream = p.nginx.address, server
	p.control = toxiproxy.NewClient(p.toxiproxy.address)
	if toxiproxyProgram != "" {
		p.url, server = "https://"+p.front.Listen, p.back.Listen
		host, port, _ := net.SplitHostPort(p.toxiproxy.address)
		p.toxiproxy.command = []string{toxiproxyProgram, "-host", host, "-port", port}
		if err := p.startToxiproxy(); err != nil {
			return nil, err
		}
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // to read the folder
	}
	config := filepath.Join(work, "nginx.conf")
	p.nginx.command = []string{nginxProgram, "-p", work, "-c", config, "-e", filepath.Join(work, "error.log")}
	_ = os.Remove(filepath.Join(work, "access.log")) // of an earlier run
	err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, server, p.nginx.address), 0o600)
	if err == nil {
		err = p.nginx.start()
	}
	if err != nil {
		p.stop()
	}
	return p, err
}

func (p *proxies) startToxiproxy() error {
	err := p.toxiproxy.start()
	if err == nil {
		p.front.Enabled, p.back.Enabled = true, true
		_, err = p.control.Populate([]toxiproxy.Proxy{p.front, p.back})
	}
	return err
}

func (p *proxies) stop() {
	// The run is over, so errors do not matter.
	_ = p.nginx.end(syscall.SIGTERM)
	_ = p.toxiproxy.end(syscall.SIGKILL)
	http.DefaultClient.CloseIdleConnections() // which is toxiproxy's
}

// requests counts the requests and connections that nginx had, by protocol.
func (p *proxies) requests() string {
	text, err := os.ReadFile(filepath.Join(p.work, "access.log"))
	if err != nil {
		return err.Error()
	}
	connections, versions := map[string]bool{}, map[string]int{}
	for line := range strings.Lines(string(text)) {
		connection, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		connections[connection] = true
		versions[version]++
	}
	return fmt.Sprintf("%v, %d connections", versions, len(connections))
}

// breakThings changes toxics until the context ends, and reloads or restarts nginx
// after each sixteenth of the operations.
func (p *proxies) breakThings(ctx context.Context, rnd *rand.Rand, l *ledger, operations int) error {
	for event := 1; ctx.Err() == nil; {
		var err error
		switch isDue := l.started.Load() >= int64(event*operations/16); {
		case isDue && event%2 == 1:
			event++
			p.reloads++
			err = p.nginx.running.Process.Signal(syscall.SIGHUP)
		case isDue:
			event++
			p.restarts++
			sig := syscall.SIGTERM // at once
			if event%4 == 1 {
				sig = syscall.SIGQUIT // after its requests
			}
			if err = p.nginx.end(sig); err == nil {
				err = p.nginx.start()
			}
		case p.changeToxics(rnd) != nil:
			// It can hang when toxics change for a stalled connection. For the clients
			// a restart is one more fault.
			p.toxiproxyRestarts++
			if err = p.toxiproxy.end(syscall.SIGKILL); err == nil {
				err = p.startToxiproxy()
			}
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(100+rnd.IntN(700)) * time.Millisecond):
		}
	}
	return nil
}

// changeToxics removes the active toxics, and two times out of three adds others.
func (p *proxies) changeToxics(rnd *rand.Rand) error {
	p.changes++
	if err := p.control.ResetState(); err != nil || rnd.IntN(3) == 0 {
		return err
	}
	for n := range 1 + rnd.IntN(2) {
		name := []string{"front", "back"}[rnd.IntN(2)]
		proxy, err := p.control.Proxy(name)
		if err != nil {
			return err
		}
		if rnd.IntN(20) == 0 {
			return proxy.Disable()
		}
		kind := []struct {
			name       string
			attributes toxiproxy.Attributes
		}{
			{"latency", toxiproxy.Attributes{"latency": rnd.IntN(200), "jitter": rnd.IntN(200)}},
			{"bandwidth", toxiproxy.Attributes{"rate": 1 + rnd.IntN(100)}}, // KB/s
			{"slow_close", toxiproxy.Attributes{"delay": rnd.IntN(1000)}},
			{"timeout", toxiproxy.Attributes{"timeout": 1 + rnd.IntN(3000)}}, // stalls, then closes
			{"reset_peer", toxiproxy.Attributes{"timeout": rnd.IntN(500)}},
			{"slicer", toxiproxy.Attributes{"average_size": 1 + rnd.IntN(100), "size_variation": 0, "delay": rnd.IntN(1000)}},
			{"limit_data", toxiproxy.Attributes{"bytes": rnd.IntN(20000)}}, // then closes
		}[rnd.IntN(7)]
		stream := []string{"upstream", "downstream"}[rnd.IntN(2)]
		_, err = proxy.AddToxic(fmt.Sprint(kind.name, n), kind.name, stream, 0.3+0.7*rnd.Float32(), kind.attributes)
		if err != nil {
			return err
		}
	}
	return nil
}
