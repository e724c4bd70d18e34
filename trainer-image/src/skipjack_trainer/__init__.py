"""The trainer: one program for every task and method. It reads the resolved spec and defaults nothing of its own."""
