"""What the kernel's devices and their services read and write: numbers, structures, messages."""
