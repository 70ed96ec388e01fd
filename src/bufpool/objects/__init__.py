"""The pool of any objects: what `bufpool.Pool` and `bufpool.AsyncPool` are made of. Import them from `bufpool`."""
