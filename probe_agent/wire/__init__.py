"""Generated protobuf messages and grpclib stubs (`make protos`). Imported by `connect` and, on the
server, `relay`.
"""
