package testnet

import "github.com/mlecs/mlecs/storage/record"

const (
	roleEdge  = string(record.RoleEdge)
	roleSuper = string(record.RoleSuper)
)
