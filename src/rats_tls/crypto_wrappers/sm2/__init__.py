"""SM2 signatures with SM3 (GB/T 32918.2) over whichever library is at hand; none is loaded before first use."""
