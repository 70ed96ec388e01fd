# For `cimport`: the contracts stand in bufpool.core and bufpool.native.
