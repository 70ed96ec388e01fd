# For `cimport`: the contracts stand in bufpool._core, and in the folders core and native of the wings.
