# L0-L3: contracts of the C++ headers of this folder, for cimport. There is no Python here.
