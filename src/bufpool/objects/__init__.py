"""The implementation of `bufpool.Pool` and `bufpool.AsyncPool`. Import them from `bufpool`."""
