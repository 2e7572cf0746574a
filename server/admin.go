package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// probes answers the two questions of an orchestrator. A nil error is yes.
type probes struct {
	healthy func() error // is it worth keeping this process?
	ready   func() error // should clients be sent here?
}

// newRegistry returns the registry of one process: what the Go runtime and the
// operating system say about it, and which build it is.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "duelog_build_info",
			Help:        "Always 1; the labels say which build runs.",
			ConstLabels: prometheus.Labels{"version": Version(), "go_version": runtime.Version()},
		}, func() float64 { return 1 }),
	)
	return reg
}

// adminHandler routes the admin address.
func adminHandler(reg *prometheus.Registry, p probes, withPprof bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg, EnableOpenMetrics: true}))
	mux.Handle("GET /healthz", probe(p.healthy))
	mux.Handle("GET /readyz", probe(p.ready))
	mux.HandleFunc("GET /{$}", adminIndex)
	if withPprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// probe answers 200 "ok", or 503 with the reason as text.
func probe(ask func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := ask(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}

func adminIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s\n\n/metrics\n/healthz\n/readyz\n/debug/pprof/ (with --pprof)\n", versionLine())
}

// admin is the HTTP server beside the broker.
type admin struct {
	http *http.Server
}

func newAdmin(h http.Handler, log *slog.Logger) *admin {
	return &admin{http: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
}

// serve runs until close; a nil listener ends at once.
func (a *admin) serve(l net.Listener) error {
	if l == nil {
		return nil
	}
	if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin address: %w", err)
	}
	return nil
}

// close ends requests that are still running when ctx does, such as a profile.
func (a *admin) close(ctx context.Context) error {
	if err := a.http.Shutdown(ctx); err != nil {
		return a.http.Close()
	}
	return nil
}
