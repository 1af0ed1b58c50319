"""One rule a file. A file here is found by being here; its docstring explains it to users."""
