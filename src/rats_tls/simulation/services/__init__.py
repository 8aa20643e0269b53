"""Simulated vendors' web services: Intel PCS and PCCS (version 4), AMD KDS, Hygon's, over a simulated world's roots.

They listen on loopback alone and speak as the vendors' services do, so that what fetches Endorsements can be run
against services that expire, revoke, roll back, throttle and go down. The way in is
`rats_tls.simulation.services.vendors.SimulatedServices`.
"""
