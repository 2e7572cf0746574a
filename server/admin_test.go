package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestProbesAnswerWithTheReason(t *testing.T) {
	no := func() error { return errors.New("the disk is full") }
	yes := func() error { return nil }
	h := adminHandler(newRegistry(), probes{healthy: yes, ready: no}, false)
	require.Equal(t, http.StatusOK, get(h, "/healthz").Code)
	w := get(h, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "the disk is full\n", w.Body.String())
}

func TestMetricsShowTheProcessAndTheBuild(t *testing.T) {
	w := get(adminHandler(newRegistry(), probes{}, false), "/metrics")
	require.Equal(t, http.StatusOK, w.Code)
	for _, name := range []string{"go_goroutines", "duelog_build_info{"} {
		require.Contains(t, w.Body.String(), name)
	}
}

func TestPprofIsServedOnlyWhenAsked(t *testing.T) {
	require.Equal(t, http.StatusNotFound, get(adminHandler(newRegistry(), probes{}, false), "/debug/pprof/").Code)
	require.Equal(t, http.StatusOK, get(adminHandler(newRegistry(), probes{}, true), "/debug/pprof/").Code)
	require.Equal(t, http.StatusOK, get(adminHandler(newRegistry(), probes{}, true), "/debug/pprof/goroutine?debug=1").Code)
}

func TestTheAdminRootSaysWhatThereIs(t *testing.T) {
	h := adminHandler(newRegistry(), probes{}, false)
	require.Contains(t, get(h, "/").Body.String(), "/metrics")
	require.Equal(t, http.StatusNotFound, get(h, "/nothing").Code)
}
