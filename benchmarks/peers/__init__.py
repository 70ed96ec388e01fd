"""What users could choose instead of bufpool, each set up for its fastest use."""
