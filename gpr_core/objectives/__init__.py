"""Objectives as pure functions: losses, rewards, advantages and the value of an ad."""
