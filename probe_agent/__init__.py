"""Sonde's probe agent: lives in a service's process and answers what its running code does.

`start()` and `stop()` are all that an application calls; `sonde run` calls them for it. Importing this package does nothing.
"""
