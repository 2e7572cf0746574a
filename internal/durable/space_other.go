//go:build !unix

package durable

import "errors"

func statfs(string) (Space, error) { return Space{}, errors.ErrUnsupported }
