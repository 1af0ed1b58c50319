"""Kernels for CPUs, compiled by LLVM for the processor at hand."""
