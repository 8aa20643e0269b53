"""Fakes of the devices that Attesters ask: they keep the rules of the kernel's, and prove nothing."""
