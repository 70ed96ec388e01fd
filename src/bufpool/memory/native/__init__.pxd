# Contracts of the compiled modules, for cimport.
