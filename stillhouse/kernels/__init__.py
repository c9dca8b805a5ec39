"""Arithmetic: the checked public face over raw loops that numba compiles for this processor."""
