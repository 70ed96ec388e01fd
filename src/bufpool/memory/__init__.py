"""Memory for NumPy arrays and buffers: `BufferPool` and its parts."""
