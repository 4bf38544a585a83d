//go:build !linux

package chaos

import "errors"

func newNamespaces(*links) (wires, error) {
	return nil, errors.New("this system has no network namespaces")
}
