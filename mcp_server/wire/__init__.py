"""Generated grpcio stubs over `probe_agent.wire` (`make protos`). Imported only by `relay`."""
