"""Tests of the server's pages in a real browser."""
