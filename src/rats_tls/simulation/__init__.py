"""Simulated TEEs: real formats and real signatures under vendor roots that nobody should trust.

Evidence made here proves nothing: its keys lie in this process or in a plain directory. It is for development and
tests. It is byte for byte in the vendor's format and is judged by the same Verifiers as genuine Evidence, which refuse
it unless the simulated vendor's root is given to them as an explicit trust anchor. Every simulated certificate names
the organization `rats-tls simulation`, so that results show where they came from.

Nothing here is imported by default; `rats_tls.simulation.world.SimulatedWorld` is the way in.
"""
