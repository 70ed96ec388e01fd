# L4: contracts of the compiled modules, for cimport.
