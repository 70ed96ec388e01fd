"""Memory for NumPy arrays and buffers: `BufferPool`, and what is behind it."""
