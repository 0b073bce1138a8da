// Dials through a proxy server with upstream's own client (sigs.k8s.io/apiserver-network-proxy/konnectivity-client), as
// kube-apiserver does, and checks what comes back.
//
//	konnectivity UDS-OR-HOST:PORT TARGET echo SIZE       sends SIZE bytes and reads them back
//	konnectivity UDS-OR-HOST:PORT TARGET fail TEXT       the dial must fail with TEXT in its error
//	konnectivity UDS-OR-HOST:PORT TARGET many COUNT      COUNT connections at once, 100 KB each way
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/pkg/client"
)

func dial(proxy, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	network := "tcp"
	if strings.HasPrefix(proxy, "/") {
		network = "unix"
	}
	dialer := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, proxy)
	})
	tunnel, err := client.CreateSingleUseGrpcTunnelWithContext(ctx, context.Background(), "passthrough:///"+proxy, dialer,
		grpc.WithAuthority("localhost"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	return tunnel.DialContext(ctx, "tcp", target)
}

func echo(proxy, target string, size int) error {
	conn, err := dial(proxy, target)
	if err != nil {
		return err
	}
	sent := make([]byte, size)
	rand.Read(sent)
	failed := make(chan error, 1)
	go func() {
		for at := 0; at < size; at += 20000 {
			end := at + 20000
			if end > size {
				end = size
			}
			if _, err := conn.Write(sent[at:end]); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	back := make([]byte, size)
	if _, err := io.ReadFull(conn, back); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := <-failed; err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if !bytes.Equal(sent, back) {
		return fmt.Errorf("other bytes came back")
	}
	if err := conn.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

func run() error {
	if len(os.Args) != 5 {
		return fmt.Errorf("four arguments, please")
	}
	proxy, target, what, argument := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	number, _ := strconv.Atoi(argument)
	switch what {
	case "echo":
		return echo(proxy, target, number)
	case "fail":
		conn, err := dial(proxy, target)
		if err == nil {
			conn.Close()
			return fmt.Errorf("the dial should have failed")
		}
		if !strings.Contains(err.Error(), argument) {
			return fmt.Errorf("another error: %w", err)
		}
		return nil
	case "many":
		var wait sync.WaitGroup
		failures := make(chan error, number)
		for i := 0; i < number; i++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				if err := echo(proxy, target, 100_000); err != nil {
					failures <- err
				}
			}()
		}
		wait.Wait()
		close(failures)
		return <-failures
	}
	return fmt.Errorf("unknown command %q", what)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}
