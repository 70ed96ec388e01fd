from bufpool.memory.native._scratch_slots cimport ScratchSlots

cdef class Scratch:
    cdef ScratchSlots slots        # has the arrays
    cdef object enter              # bound methods of `slots`, made once: see WithMethod
    cdef object leave
    cdef object __weakref__

    cdef object set_slots(self, ScratchSlots slots)
