# Contracts of the C++ headers of this folder, for cimport. There is no Python here.
