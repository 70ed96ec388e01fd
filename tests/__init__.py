"""The tests of bufpool, in folders named like what they test; `support` is shared, `verify` tries much harder."""
