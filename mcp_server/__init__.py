"""Sonde's server: MCP towards assistants, gRPC towards probe agents. Importing this package does
nothing.
"""
