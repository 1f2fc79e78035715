//go:build !linux

package service

func giveBack([]byte) {}
