"""Measurements that a person starts by hand."""
